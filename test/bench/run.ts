// `npm run bench [name]`: runs test/bench/<name>.ts. Figures are JSON on stdout, one object a line, so that they can
// be kept and compared; what a person reads goes to stderr.
import { readdirSync } from 'node:fs'

/** Helpers of the benchmarks, not benchmarks. */
const NOT_ONE: ReadonlySet<string> = new Set([
  'run',
  'closed_loop',
  'open_loop',
  'onboard',
  'webhook_delivery',
])

export interface Benchmark {
  /** `emit` takes one figure; `say` is for whoever watches. */
  run(emit: (figure: object) => void, say: (line: string) => void): Promise<void>
}

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => file.slice(0, -3))
  .filter((name) => !NOT_ONE.has(name))

const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}
const emit = (figure: object): void => {
  process.stdout.write(`${JSON.stringify(figure)}\n`)
}

const [name] = process.argv.slice(2)
if (name === undefined || name === '--help') {
  say('Usage: npm run bench <name>\n')
  for (const one of names) say(`  ${one}`)
} else if (names.includes(name)) {
  const benchmark: Benchmark = await import(`./${name}.ts`)
  await benchmark.run(emit, say)
} else {
  say(`There is no benchmark ${name}; there is ${names.join(', ')}.`)
  process.exitCode = 1
}
