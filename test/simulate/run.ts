// `npm run simulate [name]`: runs test/simulate/<name>.ts. Figures are JSON on stdout, one object a line, as benchmarks have
// them; what a person reads goes to stderr.
import { readdirSync } from 'node:fs'

export interface Simulation {
  /** What `--help` says of it. */
  help: string
  /** Of its own, as `parseArgs` of `node:util` takes them. */
  run(args: string[], emit: (figure: object) => void, say: (line: string) => void): Promise<void>
}

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -3))

const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}
const emit = (figure: object): void => {
  process.stdout.write(`${JSON.stringify(figure)}\n`)
}

/** What was typed wrongly is said, with what can be typed. */
function sayTyped(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!code.startsWith('ERR_PARSE_ARGS')) throw error
  say(`${(error as Error).message}\n--help says what there is.`)
  process.exitCode = 2
}

const [name, ...args] = process.argv.slice(2)
if (name === undefined || name === '--help') {
  say('Usage: npm run simulate <name> [-- --help]\n')
  for (const one of names) say(`  ${one}`)
} else if (names.includes(name)) {
  const simulation: Simulation = await import(`./${name}.ts`)
  if (args.includes('--help')) say(simulation.help)
  else await simulation.run(args, emit, say).catch(sayTyped)
} else {
  say(`There is no simulation ${name}; there is ${names.join(', ')}.`)
  process.exitCode = 1
}
