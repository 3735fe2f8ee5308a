// How much a stack on this machine holds, of a thousand tenants whose demand follows Zipf's law: the peak with the clients
// of `bench path`, that wait for their answers (closed loop), the rate at which clients that do not wait (open loop) still get 99 of 100
// answers within 100 ms and no error, and what becomes of it when twice the peak is asked.
import { cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { type Stack, startStack } from '../e2e/stack.ts'
import { Random } from '../faults/random.ts'
import { measureBytes, percentile } from './closed_loop.ts'
import { countOf, measureOpen, type OpenMeasured } from './open_loop.ts'
import { CONNECTIONS } from './path.ts'
import { drawn, requestsOf, type TenantRequests, zipf } from './traffic/mix.ts'
import { cpuMeter } from './traffic/processes.ts'
import { makeTenants } from './traffic/tenants.ts'

const TENANTS = Number(process.env.TENANTS ?? 1_000)
const RECORDS_EACH = 10
const SEED = 9
/** Beside those of `bench path`. The more wait, the more is done at once, and the longer each waits. */
const MORE_CONNECTIONS = [32, 64]
const CLOSED_MS = 4_000
const GOAL = { p99Ms: 100, ofPeak: 0.7, goodput: 0.9 }
/** Parts of the peak that are tried, upwards; then the middle between the last that held and the first that did not. */
const STEPS = [0.5, 0.6, 0.7, 0.8, 0.9, 1] as const
/** Long enough for two collections of the region's whole heap. */
const TRIAL = { warmUpMs: 2_000, durationMs: 20_000 }
/** A part holds in most of so many trials, because one stall of the machine ends any of them. */
const TRIALS_EACH = 3
const OVERLOAD = { times: 2, warmUpMs: 3_000, durationMs: 15_000 }

type Emit = (figure: object) => void
type Say = (line: string) => void

export async function run(emit: Emit, say: Say): Promise<void> {
  const stack = await startStack()
  try {
    emit({
      bench: 'load',
      cpus: cpus().length,
      cpu: cpus()[0]?.model,
      load: loadavg()[0],
      node: process.version,
    })
    say(`making ${TENANTS} tenants …`)
    // Whoever asks most has the largest plan, as it would be.
    const planOf = (rank: number) =>
      rank < TENANTS / 100 ? 'enterprise' : rank < TENANTS / 5 ? 'team' : 'free'
    const tenants = await makeTenants(stack, { count: TENANTS, planOf, recordsEach: RECORDS_EACH })
    const requests = tenants.map((tenant) => requestsOf(new URL(stack.edge), tenant))
    await new Loaded(stack, requests, emit, say).run()
  } finally {
    await stack.stop()
  }
}

class Loaded {
  private readonly stack: Stack
  private readonly random = new Random(SEED)
  private readonly requests: ReadonlyArray<TenantRequests>
  private readonly pick: () => TenantRequests
  private readonly emit: Emit
  private readonly say: Say

  constructor(stack: Stack, requests: ReadonlyArray<TenantRequests>, emit: Emit, say: Say) {
    this.stack = stack
    this.requests = requests
    this.pick = zipf(requests, this.random)
    this.emit = emit
    this.say = say
  }

  async run(): Promise<void> {
    const next = () => drawn(this.pick(), this.random)
    await this.closed('warm-up', next, 16)
    const closed = (connections: number) => this.closed('the mix', next, connections)
    const peak = await largest(CONNECTIONS, closed)
    const crowded = await largest(MORE_CONNECTIONS, closed)
    await this.likePath()
    const held = await this.heldRate(peak)
    this.say(
      `held with p99 < ${GOAL.p99Ms} ms and no error: ${Math.round(held)} requests/s, ` +
        `${(held / peak).toFixed(2)} × the closed-loop peak of ${Math.round(peak)} (goal: ≥ ${GOAL.ofPeak}), ` +
        `${(held / crowded).toFixed(2)} × the ${Math.round(crowded)} of more connections`,
    )
    const over = await this.open(`${OVERLOAD.times} × the peak`, peak * OVERLOAD.times, OVERLOAD)
    const goodput = over.total.goodPerSecond / peak
    const rest = countOf(over.total.errors)
    this.say(
      `${OVERLOAD.times} × overload: goodput ${goodput.toFixed(2)} × the peak (goal: ≥ ${GOAL.goodput}), ` +
        `${(over.total.goodPerSecond / crowded).toFixed(2)} × that of more connections; ` +
        `${rest} answers that were neither a success nor a refusal with Retry-After (goal: 0)`,
    )
    await this.open('afterwards', held > 0 ? held : (peak * STEPS[0]) / 2, TRIAL)
    this.emit({
      bench: 'load',
      peak,
      crowded,
      held,
      heldOfPeak: held / peak,
      goodputOfPeak: goodput,
      errors: over.total.errors,
    })
  }

  private async closed(what: string, next: () => Buffer, connections: number): Promise<number> {
    const cpu = this.cpu()
    const origin = this.stack.edge
    const { latenciesMs, elapsedMs } = await measureBytes({
      origin,
      next,
      connections,
      durationMs: CLOSED_MS,
    })
    const perSecond = latenciesMs.length / (elapsedMs / 1_000)
    const figures = {
      perSecond: Math.round(perSecond),
      p50Ms: rounded(percentile(latenciesMs, 50)),
      p99Ms: rounded(percentile(latenciesMs, 99)),
      cores: cpu(),
    }
    this.emit({ bench: 'load', loop: 'closed', what, connections, ...figures })
    this.say(
      `closed loop, ${what}, ${connections} connections: ${figures.perSecond}/s, p50 ${figures.p50Ms} ms, ` +
        `p99 ${figures.p99Ms} ms, cores ${text(figures.cores)}`,
    )
    return perSecond
  }

  /** The two requests of `bench path`, of one tenant, so that the mix can be put beside it. */
  private async likePath(): Promise<void> {
    const [first] = this.requests
    if (first === undefined) return
    await this.closed('one tenant’s reads', () => this.random.pick(first.reads), 16)
    await this.closed('one tenant’s creations', () => first.create, 16)
  }

  private async heldRate(peak: number): Promise<number> {
    const heldOnce = async (part: number): Promise<boolean> => {
      const { total } = await this.open(`${part.toFixed(2)} × the peak`, peak * part, TRIAL)
      const isGood = countOf(total.errors) + countOf(total.refused) === 0
      return isGood && percentile(total.latenciesMs, 99) < GOAL.p99Ms
    }
    const holds = async (part: number): Promise<boolean> => {
      const count = { held: 0, failed: 0 }
      while (Math.max(count.held, count.failed) <= TRIALS_EACH / 2)
        count[(await heldOnce(part)) ? 'held' : 'failed']++
      return count.held > count.failed
    }
    let held = 0
    let failed: number | undefined
    for (const part of STEPS) {
      if (await holds(part)) held = part
      else failed = part
      if (failed !== undefined) break
    }
    if (failed !== undefined && (await holds((held + failed) / 2))) held = (held + failed) / 2
    return peak * held
  }

  private async open(
    what: string,
    perSecond: number,
    { warmUpMs, durationMs }: { warmUpMs: number; durationMs: number },
  ): Promise<OpenMeasured> {
    const cpu = this.cpu()
    const measured = await measureOpen({
      origin: this.stack.edge,
      perSecond,
      next: () => ({ group: 'all', bytes: drawn(this.pick(), this.random) }),
      warmUpMs,
      durationMs,
      random: this.random,
    })
    const { total, sentLateP99Ms, mostUnanswered } = measured
    const figures = {
      goodPerSecond: Math.round(total.goodPerSecond),
      p50Ms: rounded(percentile(total.latenciesMs, 50)),
      p99Ms: rounded(percentile(total.latenciesMs, 99)),
      refused: total.refused,
      errors: total.errors,
      mostUnanswered,
      sentLateP99Ms: rounded(sentLateP99Ms),
      cores: cpu(),
    }
    this.emit({ bench: 'load', loop: 'open', what, perSecond: Math.round(perSecond), ...figures })
    this.say(
      `open loop, ${what}: ${Math.round(perSecond)}/s asked, ${figures.goodPerSecond}/s good, p50 ${figures.p50Ms} ms, ` +
        `p99 ${figures.p99Ms} ms, refused ${JSON.stringify(total.refused)}, errors ${JSON.stringify(total.errors)}, ` +
        `at most ${mostUnanswered} unanswered, sent late (p99) ${figures.sentLateP99Ms} ms, cores ${text(figures.cores)}`,
    )
    await pause(1_000)
    return measured
  }

  private cpu(): () => Record<string, number> {
    return cpuMeter({ edge: this.stack.pid('edge'), us: this.stack.pid('us'), eu: this.stack.pid('eu') })
  }
}

async function largest(
  each: ReadonlyArray<number>,
  measure: (connections: number) => Promise<number>,
): Promise<number> {
  let found = 0
  for (const connections of each) found = Math.max(found, await measure(connections))
  return found
}

const rounded = (value: number): number => Number(value.toPrecision(3))

const text = (cores: Record<string, number>): string =>
  Object.entries(cores)
    .map(([name, used]) => `${name} ${used}`)
    .join(', ')
