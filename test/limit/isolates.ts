// Several isolates in one workerd, all bound to one Durable Object class, whose storage outlives the process.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorker, compatibility, WORKERD } from '../../dev/workerd.ts'
import type { Load, Measured } from './load.ts'

const ENTRY = fileURLToPath(new URL('../edge/limit_isolate.ts', import.meta.url))

export class Isolates {
  private readonly folder = mkdtempSync(join(tmpdir(), 'coditect-limit-'))
  private readonly names: ReadonlyArray<string>
  private child: ChildProcess | undefined
  private ports = new Map<string, number>()

  private readonly shared: number | undefined
  private readonly near: boolean

  private constructor(count: number, shared: number | undefined, near: boolean) {
    this.shared = shared
    this.near = near
    this.names = Array.from({ length: count }, (_, i) => `isolate${i}`)
  }

  /** @param shared how many objects the tenants share; undefined: each has its own */
  static async start(count: number, shared?: number): Promise<Isolates> {
    return Isolates.launched(new Isolates(count, shared, false))
  }

  /** One isolate with its objects in it, as a workerd of one's own has it. */
  static startNear(shared: number): Promise<Isolates> {
    return Isolates.launched(new Isolates(1, shared, true))
  }

  private static async launched(isolates: Isolates): Promise<Isolates> {
    mkdirSync(join(isolates.folder, 'objects'))
    await bundleWorker(ENTRY, join(isolates.folder, 'worker.js'))
    writeFileSync(join(isolates.folder, 'workerd.capnp'), isolates.config())
    await isolates.launch()
    return isolates
  }

  /** The same load on each of these isolates (all of them, unless told), at the same time. */
  run(load: Load, isolates = this.names.map((_, i) => i)): Promise<Measured[]> {
    return Promise.all(isolates.map((i) => this.ask<Measured>(i, '/run', load)))
  }

  /** How often the tenant's object had to begin anew, this time included. */
  boots(tenant: string): Promise<number> {
    return this.ask(0, '/boots', { tenant })
  }

  /** SIGKILL to object and isolates alike, then a new workerd on what is on disk. */
  async killAndRestart(): Promise<void> {
    await this.kill()
    await this.launch()
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private async ask<T>(isolate: number, path: string, body: object): Promise<T> {
    const url = `http://127.0.0.1:${this.ports.get(this.names[isolate] ?? '')}${path}`
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  private async kill(): Promise<void> {
    const { child } = this
    if (child === undefined) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await exited
  }

  private launch(): Promise<void> {
    this.ports = new Map()
    const args = ['serve', join(this.folder, 'workerd.capnp'), '--control-fd', '3']
    const child = spawn(WORKERD, args, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
    this.child = child
    return new Promise((resolve, reject) => {
      child.once('exit', () => reject(new Error('workerd has ended')))
      let told = ''
      child.stdio[3]?.on('data', (chunk: Buffer) => {
        told += chunk.toString('utf8')
        for (const [, name, port] of told.matchAll(/"socket":"(isolate\d+)","port":(\d+)/g)) {
          this.ports.set(name ?? '', Number(port))
        }
        if (this.ports.size === this.names.length) resolve()
      })
    })
  }

  private config(): string {
    const { compatibilityDate, compatibilityFlags } = compatibility()
    const worker = (binding: string, more = '') => `(
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "${compatibilityDate}",
      compatibilityFlags = ${JSON.stringify(compatibilityFlags)},
      bindings = [
        (name = "TENANT_LIMITER", durableObjectNamespace = ${binding}),
        (name = "SHARED", text = "${this.shared ?? ''}"),
        (name = "NEAR", text = "${this.near ? 'yes' : ''}"),
      ],${more}
    )`
    const owner = worker(
      '"CountedLimiter"',
      `
      durableObjectNamespaces = [(className = "CountedLimiter", uniqueKey = "limits", enableSql = true)],
      durableObjectStorage = (localDisk = "objects"),`,
    )
    const bound = '(className = "CountedLimiter", serviceName = "owner")'
    return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "owner", worker = ${owner}),
    (name = "objects", disk = (path = "${join(this.folder, 'objects')}", writable = true)),
${this.names.map((name) => `    (name = "${name}", worker = ${worker(bound)}),`).join('\n')}
  ],
  sockets = [
${this.names.map((name) => `    (name = "${name}", address = "127.0.0.1:0", http = (), service = "${this.near ? 'owner' : name}"),`).join('\n')}
  ],
);
`
  }
}
