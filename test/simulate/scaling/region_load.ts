// Loads really run: a region process is asked by Poisson arrivals that wait for no answer, and every request's instants
// are kept, so that a model can be fed with them, and held against them.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Asker, AssertionMaker, heldAfter, type Signed } from '../../bench/peers/assertions.ts'
import { ownSeconds } from '../../bench/peers/processor_time.ts'
import { LoneRegion } from '../../bench/tenants/lone_region.ts'
import { Connection, requestBytes } from '../../bench/traffic/connection.ts'
import { RegionSecrets } from '../../support/region_client.ts'
import { exponential, meanOf, type Random } from './random.ts'

export interface Load {
  /** Requests a second. */
  rate: number
  /** Part of them that creates a project; the others read one. */
  creates: number
  seconds: number
}

export interface Answered {
  /** Milliseconds since the first could be sent. */
  at: number
  creates: boolean
  /** Undefined when the region had no time for it. */
  latencyMs: number | undefined
  /** Something else was at work on the machine, then or just before: no measure of a region. */
  disturbed: boolean
}

export interface Ran {
  requests: Answered[]
  /** What the region said of itself at the end, on average, from 0 to 1. */
  utilisation: number
  /** Part of the time in which something else was at work on the machine. */
  disturbed: number
}

/** Data lies in memory where it can: in production the database is a cluster elsewhere, and a disk's moods are not an instance's. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const TENANTS = 200
const CONNECTIONS = 64
const MOST_CONNECTIONS = 2_048
const TRIES = 4
const CALM_MS = 2_000
const PATIENCE_MS = 20_000
const MOST_DISTURBED = 0.5
const WINDOW_MS = 500
/** Of a processor; the kernel counts in hundredths of a second. */
const DISTURBED = 0.08
const LOOKS = 3
const LOOK_MS = 1_000
const BODY = '{"name":"Simulation"}'

/** Whether anything but region and load was at work, in each window of the time. */
class Others {
  private readonly pids: number[]
  private readonly windows: boolean[] = []
  private lookAt = 0
  private before: number

  constructor(region: number) {
    this.pids = [region, process.pid]
    this.before = this.seconds()
  }

  /** To be called often. @param at milliseconds */
  look(at: number): void {
    if (at < this.lookAt + WINDOW_MS) return
    const now = this.seconds()
    const elapsed = (at - this.lookAt) / 1_000
    const first = Math.floor(this.lookAt / WINDOW_MS)
    const last = Math.floor(at / WINDOW_MS)
    for (let n = first; n < last; n++) this.windows[n] = (now - this.before) / elapsed > DISTURBED
    this.before = now
    this.lookAt = last * WINDOW_MS
  }

  wereAtWork(at: number): boolean {
    const n = Math.floor(at / WINDOW_MS)
    return [n - 1, n, n + 1].some((window) => this.windows[window] === true)
  }

  private seconds(): number {
    const busy = cpus().reduce((sum, { times: { user, nice, sys } }) => sum + user + nice + sys, 0) / 1_000
    return busy - this.pids.reduce((sum, pid) => sum + ownSeconds(pid), 0)
  }
}

export class LoadedRegion {
  private readonly region: LoneRegion
  private readonly maker: AssertionMaker
  private readonly projects: ReadonlyArray<string>
  private readonly folder: string

  private constructor(region: LoneRegion, maker: AssertionMaker, projects: string[], folder: string) {
    this.region = region
    this.maker = maker
    this.projects = projects
    this.folder = folder
  }

  static async start(): Promise<LoadedRegion> {
    const folder = mkdtempSync(join(MEMORY, 'coditect-simulate-'))
    const secrets = new RegionSecrets(['us'])
    const region = await LoneRegion.start(folder, secrets)
    const askers: Asker[] = []
    const projects: string[] = []
    for (let n = 0; n < TENANTS; n++) {
      const { key } = await region.makeTenant(`simulated-${n}`)
      const answer = await region.ask(key, 'POST', '/v1/projects', { name: 'Simulation' })
      askers.push({ key, held: heldAfter(answer) })
      projects.push(answer.body.id)
    }
    return new LoadedRegion(region, await AssertionMaker.of(secrets, askers), projects, folder)
  }

  async stop(): Promise<void> {
    await this.region.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Milliseconds from starting a process until it says that it is ready, over data that is there. */
  static async startTimes(count: number): Promise<number[]> {
    const folder = mkdtempSync(join(MEMORY, 'coditect-simulate-'))
    const secrets = new RegionSecrets(['us'])
    const times: number[] = []
    for (let n = 0; n <= count; n++) {
      const startedAt = performance.now()
      const region = await LoneRegion.start(folder, secrets)
      while (!(await fetch(`${region.url}/readyz`)).ok) await pause(5)
      // The first one makes the database.
      if (n > 0) times.push(performance.now() - startedAt)
      await region.stop()
    }
    rmSync(folder, { recursive: true, force: true })
    return times
  }

  /**
   * Of the first second nothing is kept, nor of three at the end, in which the region is asked how busy it is: to say so
   * takes it ten milliseconds and more.
   */
  async run({ rate, creates, seconds }: Load, random: Random): Promise<Ran> {
    const arrivals: Answered[] = []
    const endsAt = (seconds + 1) * 1_000
    for (let at = 0; at < endsAt + LOOKS * LOOK_MS + 500; at += exponential(random, 1_000 / rate)) {
      arrivals.push({ at, creates: random() < creates, latencyMs: undefined, disturbed: false })
    }
    const signed = await this.sign(arrivals)
    const origin = new URL(this.region.url)
    const sockets = new Sockets(origin)
    sockets.open(CONNECTIONS)
    const utilisations: number[] = []
    const others = new Others(this.region.pid)
    const startedAt = performance.now()
    let lookAt = endsAt
    for (const [i, request] of arrivals.entries()) {
      // Not to the microsecond: to spin would take the processor that the region needs. When it was really sent is kept.
      while (performance.now() - startedAt < request.at) await pause(1)
      request.at = performance.now() - startedAt
      sockets.send(bytesOf(origin, signed[i], request.creates), request)
      others.look(request.at)
      if (request.at >= lookAt) {
        lookAt += LOOK_MS
        void this.utilisation().then((now) => utilisations.push(now))
      }
    }
    await sockets.allAnswered()
    sockets.close()
    const requests = arrivals.filter(({ at }) => at >= 1_000 && at < endsAt)
    for (const request of requests) request.disturbed = sockets.overrun || others.wereAtWork(request.at)
    const disturbed = requests.filter((request) => request.disturbed).length / requests.length
    return { requests, utilisation: meanOf(utilisations), disturbed }
  }

  /** Again while most of it was disturbed, a few times; the least disturbed of them. */
  async runUndisturbed(load: Load, random: Random): Promise<Ran> {
    await this.quiet()
    let best = await this.run(load, random)
    for (let n = 1; n < TRIES && best.disturbed > MOST_DISTURBED; n++) {
      await this.quiet()
      const again = await this.run(load, random)
      if (again.disturbed < best.disturbed) best = again
    }
    return best
  }

  /** Until nothing else has been at work for two seconds, or for a while at most. */
  private async quiet(): Promise<void> {
    const others = new Others(this.region.pid)
    const from = performance.now()
    let calmFrom = from
    for (let now = from; now - calmFrom < CALM_MS && now - from < PATIENCE_MS; now = performance.now()) {
      await pause(WINDOW_MS / 5)
      others.look(now - from)
      if (others.wereAtWork(now - from - WINDOW_MS)) calmFrom = now
    }
  }

  private async utilisation(): Promise<number> {
    const text = await (await fetch(`${this.region.url}/metrics`)).text()
    return Number(/^coditect_utilisation(?:\{[^}]*\})? (\S+)$/m.exec(text)?.[1])
  }

  private async sign(arrivals: ReadonlyArray<Answered>): Promise<Signed[]> {
    const signed: Signed[] = []
    for (const [i, { creates }] of arrivals.entries()) {
      const n = i % TENANTS
      const path = creates ? '/v1/projects' : `/v1/projects/${this.projects[n]}`
      signed.push(await this.maker.sign(n, creates ? 'POST' : 'GET', path))
    }
    return signed
  }
}

function bytesOf(origin: URL, signed: Signed | undefined, creates: boolean): Buffer {
  const { path = '', headers = {} } = signed ?? {}
  if (!creates) return requestBytes(origin, 'GET', path, headers)
  return requestBytes(origin, 'POST', path, { ...headers, 'content-type': 'application/json' }, BODY)
}

/** As many connections as there are requests under way. */
class Sockets {
  private readonly origin: URL
  private readonly free: Connection[] = []
  private readonly all = new Set<Connection>()
  /** Too many were under way: what was measured is no measure of a region. */
  overrun = false
  private waiting = 0
  private failed: Error | undefined

  constructor(origin: URL) {
    this.origin = origin
  }

  open(count: number): void {
    for (let n = 0; n < count; n++) this.free.push(this.make())
  }

  send(bytes: Buffer, request: Answered): void {
    const connection = this.free.pop() ?? (this.all.size < MOST_CONNECTIONS ? this.make() : undefined)
    if (connection === undefined) {
      this.overrun = true
      return
    }
    const sentAt = performance.now()
    this.waiting++
    connection.ask(bytes, (answer) => {
      this.waiting--
      if (answer === undefined) this.failed = new Error('a connection was closed in the middle')
      else if (answer.status < 300) request.latencyMs = performance.now() - sentAt
      else if (answer.status !== 503) this.failed = new Error(`an answer is no success: ${answer.head}`)
      this.free.push(connection)
    })
  }

  /** @throws {Error} for an answer that is neither a success nor a 503, or a connection that broke */
  async allAnswered(): Promise<void> {
    while (this.waiting > 0 && this.failed === undefined) await pause(5)
    if (this.failed !== undefined) throw this.failed
  }

  close(): void {
    for (const connection of this.all) connection.close()
  }

  private make(): Connection {
    const connection = new Connection(this.origin, () => {})
    this.all.add(connection)
    return connection
  }
}
