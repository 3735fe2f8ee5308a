// npm run soak: a whole stack under mixed load for minutes. Does it stay as it was? Memory is to be flat, every handle given
// back, and no request answered with an error. Says how it goes meanwhile; ends with a verdict, and exit code 1 when
// something grew or failed.
import { parseArgs } from 'node:util'
import { percentile } from '../bench/closed_loop.ts'
import { countOf, measureOpen } from '../bench/open_loop.ts'
import { drawn, requestsOf, zipf } from '../bench/traffic/mix.ts'
import { makeTenants } from '../bench/traffic/tenants.ts'
import { type PartName, type Stack, startStack } from '../e2e/stack.ts'
import { Random } from '../faults/random.ts'
import { type Errands, neverDone, startErrands } from './errands.ts'
import { type Growth, growths, type Reading, readMetrics, readProcess } from './readings.ts'

const HELP = `Usage: npm run soak -- [options]

A whole stack under mixed load: reads, queries and changes of many tenants, streams, refusals, keys, organisations
made and erased, webhooks. Exit code 1 when memory or handles grew, anything was answered with an error, or one of these
was never done.
Linux only: what the processes hold is read in /proc.

  --minutes N   how long (10). Memory needs some minutes to settle: less than 5 proves little
  --rate N      requests a second, besides (200)
  --tenants N   (100)
  --seed N      (1)`

const PARTS: ReadonlyArray<PartName> = ['edge', 'us', 'eu']
const WINDOW_MS = 10_000
/** Caches fill and code is compiled: of all windows, so many do not count. */
const SETTLING = 0.25
const P99_MS = 100

interface Options {
  minutes: number
  rate: number
  tenants: number
  seed: number
}

/** What was read of each part, window by window. */
type Read = Record<PartName, Reading[]>

async function soak(options: Options): Promise<boolean> {
  const stack = await startStack({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' })
  process.once('SIGINT', () => {
    void stack.stop().then(() => process.exit(130))
  })
  try {
    return await underLoad(stack, options)
  } finally {
    await stack.stop()
  }
}

async function underLoad(stack: Stack, { minutes, rate, tenants: count, seed }: Options): Promise<boolean> {
  const random = new Random(seed)
  console.log(`making ${count} tenants …`)
  const planOf = () => 'enterprise' as const
  const tenants = await makeTenants(stack, { count, planOf, recordsEach: 10 })
  const pick = zipf(
    tenants.map((tenant) => requestsOf(new URL(stack.edge), tenant)),
    random,
  )
  const next = () => ({ group: 'all', bytes: drawn(pick(), random) })
  const pids = PARTS.map((part) => stack.pid(part))
  const errands = await startErrands(stack, tenants)
  const windows = Math.max(4, Math.round((minutes * 60_000) / WINDOW_MS))
  const read: Read = { edge: [], us: [], eu: [] }
  let errors = 0
  let slow = 0
  try {
    for (let n = 1; n <= windows; n++) {
      const load = { origin: stack.edge, perSecond: rate, next, warmUpMs: 0, durationMs: WINDOW_MS, random }
      const { total } = await measureOpen(load)
      for (const part of PARTS) read[part].push(await readingOf(stack, part))
      const failed = countOf(total.errors) + countOf(total.refused)
      errors += failed
      const p99Ms = percentile(total.latenciesMs, 99)
      if (p99Ms >= P99_MS) slow++
      console.log(progress(n, windows, total.latenciesMs.length, p99Ms, read, errands))
      if (failed > 0) console.log(`  errors: ${JSON.stringify({ ...total.errors, ...total.refused })}`)
    }
  } finally {
    await errands.stop()
  }
  const restarted = PARTS.filter((part, i) => stack.pid(part) !== pids[i])
  return verdict({ read, errors, slow, windows, restarted, errands })
}

async function readingOf(stack: Stack, part: PartName): Promise<Reading> {
  const own = readProcess(stack.pid(part))
  if (part === 'edge') return own
  const metrics = await fetch(`${stack.regions[part]}/metrics`)
  return { ...own, ...readMetrics(await metrics.text()) }
}

function progress(
  n: number,
  windows: number,
  good: number,
  p99Ms: number,
  read: Read,
  errands: Errands,
): string {
  const held = PARTS.map((part) => {
    const { memory = 0, files = 0, sockets = 0 } = read[part].at(-1) ?? {}
    return `${part} ${Math.round(memory)} MiB ${files} files ${sockets} sockets`
  })
  const done = Object.entries(errands.done).map(([name, count]) => `${name} ${count}`)
  return `${String(n).padStart(3)}/${windows}: ${good} requests, p99 ${p99Ms.toFixed(1)} ms; ${held.join(', ')}; ${done.join(', ')}`
}

interface Course {
  read: Read
  errors: number
  slow: number
  windows: number
  restarted: ReadonlyArray<PartName>
  errands: Errands
}

function verdict({ read, errors, slow, windows, restarted, errands }: Course): boolean {
  const failures: string[] = []
  console.log('\nfrom the first reading that counts to the last, by the slope of all of them:')
  for (const part of PARTS) {
    const grown = growths(read[part].slice(Math.floor(windows * SETTLING)))
    console.log(`  ${part}: ${grown.map(text).join(', ')}`)
    for (const growth of grown) if (growth.leaks) failures.push(`${part}: ${text(growth)}`)
  }
  if (errors > 0) failures.push(`${errors} requests were refused or failed`)
  for (const error of errands.errors.slice(0, 10)) failures.push(error)
  for (const name of neverDone(errands.done)) failures.push(`never done: ${name}`)
  if (restarted.length > 0) failures.push(`started again: ${restarted.join(', ')}`)
  console.log(`p99 was above ${P99_MS} ms in ${slow} of ${windows} windows`)
  for (const failure of failures) console.log(`FAILED  ${failure}`)
  console.log(failures.length === 0 ? 'passed: memory and handles are flat, no error' : 'NOT passed')
  return failures.length === 0
}

const text = ({ what, from, to }: Growth): string => `${what} ${from.toFixed(0)} → ${to.toFixed(0)}`

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      rate: { type: 'string', default: '200' },
      tenants: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const number = (name: 'minutes' | 'rate' | 'tenants' | 'seed'): number => {
    const value = Number(values[name])
    if (!(value > 0)) throw new Error(`--${name} ${values[name]}: a number above 0`)
    return value
  }
  return {
    minutes: number('minutes'),
    rate: number('rate'),
    tenants: Math.ceil(number('tenants')),
    seed: Math.ceil(number('seed')),
  }
}

try {
  const options = readOptions()
  if (options === undefined) console.log(HELP)
  else process.exitCode = (await soak(options)) ? 0 : 1
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
