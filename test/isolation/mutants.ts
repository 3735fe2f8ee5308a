// Shows that each check of the fence is needed: takes one away (or bends it by one), runs the fence's tests,
// and expects them to fail. Prints `killed/total`; exits 1 unless every mutant was killed.
//
//   npm run test:mutants            all of them
//   npm run test:mutants -- gate    those whose name contains `gate`

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Mutant, mutantsOf, ROOT, SOURCES } from './mutant.ts'

/** A mutant that loops forever is noticed too, only later. */
const TIMEOUT_MS = 120_000
const PARALLEL = 2

interface Verdict {
  passed: boolean
  /** The first test that failed. */
  by: string
}

/** Runs `files`, of which the first failure ends the run. */
function run(files: string[], directory: string, mutant?: Mutant): Promise<Verdict> {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const config = join(import.meta.dirname, 'mutants.config.ts')
  const path = join(directory, `${crypto.randomUUID()}.ts`)
  if (mutant !== undefined) writeFileSync(path, mutant.source)
  const report = `${path}.json`
  const env = { ...process.env, ...(mutant && { MUTANT_OF: mutant.of, MUTANT_SOURCE: path }) }
  return new Promise((done) => {
    execFile(
      process.execPath,
      [vitest, 'run', '--root', ROOT, '--config', config, '--outputFile', report, ...files],
      { cwd: ROOT, env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 64 * 2 ** 20 },
      (error) => done({ passed: error === null, by: error?.killed ? 'time ran out' : firstFailure(report) }),
    )
  })
}

function firstFailure(path: string): string {
  if (!existsSync(path)) return 'the run itself'
  const report = JSON.parse(readFileSync(path, 'utf8')) as {
    testResults: { message: string; assertionResults: { status: string; title: string }[] }[]
  }
  for (const { message, assertionResults } of report.testResults) {
    const failed = assertionResults.find(({ status }) => status === 'failed')
    if (failed !== undefined) return failed.title
    if (message !== '') return message.split('\n')[0] ?? message
  }
  return 'nothing'
}

const directory = mkdtempSync(join(tmpdir(), 'mutants-'))
const tests = readdirSync(import.meta.dirname).filter((file) => /^fence.*\.test\.ts$/.test(file))
// Tests over the recorder take a moment and kill most; those over the real engine are asked about the rest.
const quick = ['fence.test.ts', 'fence_rules.test.ts', 'fence_selector.test.ts']
const slow = tests.filter((file) => !quick.includes(file))
const rounds = [quick, slow].filter((files) => files.length > 0).map(paths)

function paths(files: string[]): string[] {
  return files.map((file) => join(import.meta.dirname, file))
}

async function judge(mutant: Mutant): Promise<Verdict> {
  for (const files of rounds) {
    const verdict = await run(files, directory, mutant)
    if (!verdict.passed) return verdict
  }
  return { passed: true, by: '' }
}

try {
  const wanted = process.argv[2] ?? ''
  const mutants = SOURCES.flatMap(mutantsOf).filter(({ name }) => name.includes(wanted))
  for (const files of rounds) {
    const { passed, by } = await run(files, directory)
    if (!passed) throw new Error(`the tests fail without any mutant: ${by}`)
  }
  const survivors: string[] = []
  const queue = mutants.values()
  const work = async (): Promise<void> => {
    for (const mutant of queue) {
      const { passed, by } = await judge(mutant)
      console.log(passed ? `SURVIVED  ${mutant.name}` : `killed    ${mutant.name}  by: ${by}`)
      if (passed) survivors.push(mutant.name)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  console.log(`\n${mutants.length - survivors.length}/${mutants.length}`)
  process.exitCode = survivors.length === 0 ? 0 : 1
} finally {
  rmSync(directory, { recursive: true })
}
