// npm run fuzz -- --seconds N [--seed S]: the fault tests with fresh seeds, for as long as you like. Rounds of lists
// (serialisability) and of whole regions (requests applied once, books right) take turns. Ends with exit code 1 at the
// first anomaly, and with the command that runs its seed again. The seed gives the faults and the requests; how they
// interleave is the machine's, so a rare anomaly may take several runs to come back.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openEngine } from '../../regional/storage/open.ts'
import { ChaosDatabase } from './chaos_database.ts'
import { runListAppend } from './list_append.ts'
import { Random } from './random.ts'
import { runRegions } from './region_run.ts'
import { serialisabilityAnomalies } from './serialisability.ts'

const LISTS_PER_ROUND = 5_000
const REQUESTS_PER_ROUND = 2_000

interface Round {
  transactions: number
  requests: number
  /** Commits of unknown outcome. */
  unknown: number
  anomalies: ReadonlyArray<string>
}

async function listRound(seed: number): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-fuzz-'))
  const engine = await openEngine({ dataDir: folder })
  try {
    const chaos = new ChaosDatabase(engine.native, new Random(seed))
    const workload = { name: 'fuzz', transactions: LISTS_PER_ROUND, clients: 16 }
    const history = await runListAppend(chaos, engine.native, chaos.random, workload)
    const { landed, lost, late } = chaos.counts
    return {
      transactions: history.transactions.length,
      requests: 0,
      unknown: landed + lost + late,
      anomalies: serialisabilityAnomalies(history),
    }
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
}

async function regionRound(seed: number): Promise<Round> {
  const { transactions, requests, anomalies, chaos } = await runRegions(seed, REQUESTS_PER_ROUND)
  const unknown = chaos.reduce((sum, { landed, lost, late }) => sum + landed + lost + late, 0)
  return { transactions, requests, unknown, anomalies }
}

async function fuzz(seconds: number, firstSeed: number): Promise<number> {
  const end = performance.now() + seconds * 1000
  const total = { transactions: 0, requests: 0, unknown: 0 }
  let rounds = 0
  for (let seed = firstSeed; rounds === 0 || performance.now() < end; seed++) {
    for (const [kind, run] of [['lists', listRound] as const, ['regions', regionRound] as const]) {
      const { transactions, requests, unknown, anomalies } = await run(seed)
      rounds++
      total.transactions += transactions
      total.requests += requests
      total.unknown += unknown
      const left = Math.max(0, Math.round((end - performance.now()) / 1000))
      console.log(
        `seed ${seed} ${kind}: ${transactions} transactions, ${unknown} unknown commits, ${anomalies.length} anomalies; ${left} s left`,
      )
      if (anomalies.length === 0) continue
      for (const anomaly of anomalies.slice(0, 20)) console.log(`  ${anomaly}`)
      console.log(`\nANOMALY. To run it again: npm run fuzz -- --seconds 1 --seed ${seed}`)
      return 1
    }
  }
  console.log(
    `\nNo anomaly in ${rounds} rounds from seed ${firstSeed}: ${total.transactions} transactions, ${total.requests} requests, ${total.unknown} commits of unknown outcome.`,
  )
  return 0
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds ?? 60)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
if (values.help || !(seconds > 0) || !Number.isSafeInteger(seed)) {
  console.error('npm run fuzz -- [--seconds N] [--seed S], both numbers: for 60 seconds from any seed')
  process.exitCode = values.help ? 0 : 2
} else process.exitCode = await fuzz(seconds, seed)
