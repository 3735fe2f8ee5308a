// `npm run test:traces`: replays every file of TRACES_DIR on a fresh embedded database and prints what differs.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEngine } from '../../regional/storage/open.ts'
import { replay, type Scenario } from './trace.ts'

const directory = process.env.TRACES_DIR ?? join(import.meta.dirname, 'traces')
const dataDir = await mkdtemp(join(tmpdir(), 'coditect-traces-'))
const engine = await openEngine({ dataDir })
const short = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 2000)
let passed = 0
let failed = 0
try {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.ndjson')).sort()
  for (const file of files) {
    const lines = (await readFile(join(directory, file), 'utf8')).split('\n').filter((line) => line !== '')
    for (const line of lines) {
      const scenario = JSON.parse(line) as Scenario
      const difference = await replay(engine.native, scenario)
      if (!difference) {
        passed++
        continue
      }
      failed++
      const { step, expected, got } = difference
      console.log(
        `${file} ${scenario.name ?? `seed ${scenario.seed}`}, step ${step}: ${short(scenario.steps[step])}`,
      )
      console.log(`  expected ${short(expected)}\n  got      ${short(got)}`)
    }
  }
} finally {
  await engine.close()
  await rm(dataDir, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
