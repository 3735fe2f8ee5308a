// Does a tenant feel its neighbour? Twenty tenants each ask a small share of what a stack on this machine can do, in a mix of
// reads and changes, while one more asks a hundred times as much: in reads, in writes, in large ranges, in slow requests.
// Beside it the same requests, of all of them alike, in turns; and all of it once more with admission off. Open loop, so nobody
// is spared because others wait. The noisy tenant's limits are so wide that no limit at the edge stops it.
import { cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { type Stack, startStack } from '../e2e/stack.ts'
import { Random } from '../faults/random.ts'
import { measureBytes, median, percentile } from './closed_loop.ts'
import { countOf, measureOpen, type Outcome } from './open_loop.ts'
import { asTenant, drawn, requestsOf } from './traffic/mix.ts'
import { cpuMeter } from './traffic/processes.ts'
import { type BenchTenant, makeTenants, recordsPath } from './traffic/tenants.ts'

const OTHERS = 20
/** The noisy tenant asks so many times the share of each other one. */
const TIMES = 100
/** What all ask together, as a part of what the stack can do. */
const LOADS = (process.env.LOADS ?? '0.8,1.6').split(',').map(Number)
const KINDS = ['reads', 'writes', 'ranges', 'slow'] as const
const RECORDS_EACH = 20
const SEED = 21
const CALIBRATION = { connections: 16, durationMs: 2_500 }
/** Whether all ask alike or one asks most takes turns, round by round; a stall of the machine is one round's, and no neighbour's. */
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const TRIAL = { warmUpMs: 1_000, durationMs: Number(process.env.TRIAL_MS ?? 4_000) }
const GOAL = { times: 1.5, plusMs: 10 }

/** A page of these has some 400 KiB. */
const LARGE = { name: 'large', records: 100, bytes: 4_000 }
/** Some milliseconds of the processor to check: the pattern backtracks, and fits in the end. */
const SLOW = {
  name: 'slow',
  schema: { properties: { text: { type: 'string', pattern: '^(?:(?:a+)+b|.*)$' } } },
  document: { text: `${'a'.repeat(18)}c` },
}

type Kind = (typeof KINDS)[number]
type Emit = (figure: object) => void
type Say = (line: string) => void

/** Requests a second that the stack answers to clients that wait. */
type Capacity = Record<Kind | 'mixed', number>

/** One tenant's requests: of everything, and of each kind. */
type Asking = Record<Kind | 'mixed', () => Buffer>

export interface Felt {
  p99Ms: number
  refusedShare: number
  errors: number
}

export async function run(emit: Emit, say: Say): Promise<void> {
  emit({
    bench: 'noisy',
    cpus: cpus().length,
    cpu: cpus()[0]?.model,
    load: loadavg()[0],
    node: process.version,
  })
  let capacity: Capacity | undefined
  for (const admission of ['on', 'off'] as const) {
    const stack = await startStack({ ADMISSION: admission })
    try {
      say(`admission ${admission}: making ${OTHERS + 1} tenants …`)
      const house = new House(stack, await tenantsOf(stack), admission, emit, say)
      // Measured once, so that both are asked the same.
      capacity ??= await house.capacity()
      for (const load of LOADS) for (const kind of KINDS) await house.compare(kind, load, capacity)
    } finally {
      await stack.stop()
    }
  }
}

/** All on one plan, so that they weigh the same, and with limits that nobody reaches. */
async function tenantsOf(stack: Stack): Promise<BenchTenant[]> {
  const tenants = await makeTenants(stack, {
    count: OTHERS + 1,
    planOf: () => 'team',
    recordsEach: RECORDS_EACH,
  })
  const expectOk = async (answer: Promise<{ status: number }>): Promise<void> => {
    const { status } = await answer
    if (status >= 300) throw new Error(`a tenant could not be made ready: ${status}`)
  }
  for (const { id, key, project } of tenants) {
    const limits = { requestsPerSecond: 100_000 }
    await expectOk(stack.call(`/platform/v1/tenants/${id}`, { method: 'PATCH', body: { limits } }))
    const data = { text: 'x'.repeat(LARGE.bytes) }
    const operations = Array.from({ length: LARGE.records }, () => ({ op: 'create', data }))
    const large = `${recordsPath(project, LARGE.name)}:batch`
    await expectOk(stack.call(large, { as: key, method: 'POST', body: { operations } }))
    const slow = recordsPath(project, SLOW.name).replace(/\/records$/, '')
    await expectOk(stack.call(slow, { as: key, method: 'PUT', body: { schema: SLOW.schema } }))
  }
  return tenants
}

class House {
  private readonly stack: Stack
  private readonly admission: 'on' | 'off'
  private readonly random = new Random(SEED)
  private readonly tenants: ReadonlyArray<Asking>
  private readonly emit: Emit
  private readonly say: Say

  constructor(
    stack: Stack,
    tenants: ReadonlyArray<BenchTenant>,
    admission: 'on' | 'off',
    emit: Emit,
    say: Say,
  ) {
    this.stack = stack
    this.admission = admission
    this.tenants = tenants.map((tenant) => this.askingOf(tenant))
    this.emit = emit
    this.say = say
  }

  async capacity(): Promise<Capacity> {
    const { stack, random, tenants } = this
    const of = async (what: Kind | 'mixed'): Promise<number> => {
      const next = () => random.pick(tenants)[what]()
      // Once for nothing, so that it is warm.
      let perSecond = 0
      for (let turn = 0; turn < 2; turn++) {
        const { latenciesMs, elapsedMs } = await measureBytes({ origin: stack.edge, next, ...CALIBRATION })
        perSecond = Math.round(latenciesMs.length / (elapsedMs / 1_000))
      }
      return perSecond
    }
    const capacity: Capacity = { mixed: await of('mixed'), reads: 0, writes: 0, ranges: 0, slow: 0 }
    for (const kind of KINDS) capacity[kind] = await of(kind)
    this.emit({ bench: 'noisy', capacity })
    this.say(`requests/s with ${CALIBRATION.connections} clients that wait: ${JSON.stringify(capacity)}`)
    return capacity
  }

  /** What the others feel of these requests when all tenants ask them alike, and when one asks them all. */
  async compare(kind: Kind, load: number, capacity: Capacity): Promise<void> {
    const share = load / (OTHERS + TIMES)
    const rates = { others: OTHERS * share * capacity.mixed, kind: TIMES * share * capacity[kind] }
    const noisy = this.tenants[KINDS.indexOf(kind)]
    const others = this.tenants.filter((tenant) => tenant !== noisy)
    if (noisy === undefined) throw new RangeError('a tenant for each kind')
    const rounds: Record<'alike' | 'oneTenant', Felt[]> = { alike: [], oneTenant: [] }
    for (let round = 0; round < ROUNDS; round++) {
      rounds.alike.push(
        await this.felt(kind, load, 'alike', rates, others, () => this.random.pick(this.tenants)),
      )
      rounds.oneTenant.push(await this.felt(kind, load, 'one tenant', rates, others, () => noisy))
    }
    const [fair, beside] = [mediansOf(rounds.alike), mediansOf(rounds.oneTenant)]
    const mostMs = mostMsBeside(fair)
    const holds = isSpared(fair, beside)
    this.emit({ bench: 'noisy', admission: this.admission, kind, load, fair, beside, mostMs, holds })
    this.say(
      `admission ${this.admission}, ${kind}, ${load} × capacity: p99 of the ${OTHERS} others ${fair.p99Ms} ms when all ask alike, ` +
        `${beside.p99Ms} ms beside one that asks ${TIMES} times as much: ${holds ? 'holds' : 'does NOT hold'} ` +
        `(goal: at most ${Math.round(mostMs)} ms, and none of theirs refused, or failed, for it)`,
    )
  }

  private async felt(
    kind: Kind,
    load: number,
    who: string,
    rates: { others: number; kind: number },
    others: ReadonlyArray<Asking>,
    pick: () => Asking,
  ): Promise<Felt> {
    const { stack, random } = this
    const perSecond = rates.others + rates.kind
    const cpu = cpuMeter({ edge: stack.pid('edge'), us: stack.pid('us') })
    const { groups, sentLateP99Ms } = await measureOpen({
      origin: stack.edge,
      perSecond,
      next: () =>
        random.next() * perSecond < rates.others
          ? { group: 'others', bytes: random.pick(others).mixed() }
          : { group: 'kind', bytes: pick()[kind]() },
      ...TRIAL,
      random,
    })
    const figures = Object.fromEntries([...groups].map(([group, outcome]) => [group, figuresOf(outcome)]))
    const rest = { sentLateP99Ms: rounded(sentLateP99Ms), cores: cpu() }
    this.emit({ bench: 'noisy', admission: this.admission, kind, load, who, rates, ...figures, ...rest })
    this.say(`  ${who}: ${JSON.stringify({ ...figures, ...rest })}`)
    await pause(1_000)
    return figuresOf(groups.get('others'))
  }

  private askingOf(tenant: BenchTenant): Asking {
    const { random } = this
    const origin = new URL(this.stack.edge)
    const own = requestsOf(origin, tenant)
    const large = recordsPath(tenant.project, LARGE.name)
    const range = asTenant(origin, tenant.key, 'GET', `${large}?limit=${LARGE.records}`)
    const slow = asTenant(origin, tenant.key, 'POST', recordsPath(tenant.project, SLOW.name), {
      data: SLOW.document,
    })
    return {
      mixed: () => drawn(own, random),
      reads: () => random.pick(own.reads),
      writes: () => own.create,
      ranges: () => range,
      slow: () => slow,
    }
  }
}

const mostMsBeside = ({ p99Ms }: Felt): number => Math.max(GOAL.times * p99Ms, p99Ms + GOAL.plusMs)

/** Whether the goal holds. What is answered late, refused or failed for a neighbour's sake is felt, each by itself. */
export const isSpared = (fair: Felt, beside: Felt): boolean =>
  beside.p99Ms <= mostMsBeside(fair) &&
  beside.refusedShare <= fair.refusedShare + 0.001 &&
  beside.errors <= fair.errors

function mediansOf(rounds: ReadonlyArray<Felt>): Felt {
  const of = (figure: keyof Felt) => median(rounds.map((round) => round[figure]))
  return { p99Ms: of('p99Ms'), refusedShare: of('refusedShare'), errors: of('errors') }
}

function figuresOf(outcome: Outcome | undefined) {
  const { asked = 0, latenciesMs = [], refused = {}, errors = {}, goodPerSecond = 0 } = outcome ?? {}
  return {
    perSecond: Math.round((asked * 1_000) / TRIAL.durationMs),
    goodPerSecond: Math.round(goodPerSecond),
    p50Ms: rounded(percentile(latenciesMs, 50)),
    p99Ms: rounded(percentile(latenciesMs, 99)),
    refusedShare: rounded(countOf(refused) / Math.max(1, asked)),
    errors: countOf(errors),
  }
}

const rounded = (value: number): number => Number(value.toPrecision(3))
