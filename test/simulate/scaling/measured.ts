// What was measured of a region, and kept beside this file: service times to feed the model with, three loads to hold it
// against, and how long an instance takes to start.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { latencies, serviceOf } from './calibrate.ts'
import { Instance, type Service } from './instance.ts'
import { seeded } from './random.ts'
import { type Answered, type Load, LoadedRegion } from './region_load.ts'

const FILE = join(import.meta.dirname, 'measured.json')

export interface Checked extends Load {
  measured: { p99Ms: number; utilisation: number }
  predicted: { p99Ms: number; utilisation: number }
}

export interface Measured {
  at: string
  machine: string
  startMs: number[]
  service: Service
  checks: Checked[]
}

/** Long enough for a process to stand still as often as it does: it collects garbage every few seconds. */
const SECONDS = 20
const CALIBRATION = {
  reads: { rate: 1_200, creates: 0, seconds: SECONDS },
  fewCreates: { rate: 100, creates: 1, seconds: SECONDS },
  creates: { rate: 700, creates: 1, seconds: SECONDS },
} as const satisfies Record<string, Load>
/** Light, middling and heavy, and mixed as no calibration was. */
const CHECKS: ReadonlyArray<Load> = [
  { rate: 800, creates: 0.3, seconds: SECONDS },
  { rate: 1_500, creates: 0.2, seconds: SECONDS },
  { rate: 2_000, creates: 0.1, seconds: SECONDS },
]
/** Each check is run so often, and its medians count: p99 hangs on the few times that a process stands still. */
const REPEATS = 5
const STARTS = 5
const WARM_UP: Load = { rate: 500, creates: 0.3, seconds: 6 }

export const readMeasured = (): Measured => JSON.parse(readFileSync(FILE, 'utf8')) as Measured

/** Measures all of it anew, in about nine minutes, and keeps it. */
export async function measureAll(seed: number, say: (line: string) => void): Promise<Measured> {
  const random = seeded(seed)
  say('starting instances …')
  const startMs = (await LoadedRegion.startTimes(STARTS)).map(Math.round)
  const region = await LoadedRegion.start()
  try {
    await region.runUndisturbed(WARM_UP, random)
    const run = async (load: Load) => {
      const ran = await region.runUndisturbed(load, random)
      say(
        `${load.rate} requests/s, ${load.creates * 100} % creates: ${(ran.utilisation * 100).toFixed(0)} % busy, ` +
          `p99 ${percentile(ran.requests, 99).toFixed(1)} ms, disturbed ${(ran.disturbed * 100).toFixed(0)} % of the time`,
      )
      return ran
    }
    const service = serviceOf({
      reads: await run(CALIBRATION.reads),
      fewCreates: await run(CALIBRATION.fewCreates),
      creates: await run(CALIBRATION.creates),
    })
    const checks: Checked[] = []
    for (const load of CHECKS) {
      const runs = []
      for (let n = 0; n < REPEATS; n++) runs.push(await run(load))
      const predictions = runs.map(({ requests }) => predict(service, requests, seed + 1))
      checks.push({
        ...load,
        measured: {
          p99Ms: middle(runs.map(({ requests }) => percentile(requests, 99))),
          utilisation: middle(runs.map(({ utilisation }) => utilisation)),
        },
        predicted: {
          p99Ms: middle(predictions.map(({ p99Ms }) => p99Ms)),
          utilisation: middle(predictions.map(({ utilisation }) => utilisation)),
        },
      })
    }
    const machine = `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`
    const measured = { at: new Date().toISOString(), machine, startMs, service, checks }
    writeFileSync(FILE, `${JSON.stringify(measured)}\n`)
    return measured
  } finally {
    await region.stop()
  }
}

/** The same arrivals, answered by the model. */
export function predict(service: Service, requests: ReadonlyArray<Answered>, seed: number) {
  const instance = new Instance(service, seeded(seed))
  const from = requests[0]?.at ?? 0
  const answers = requests.map((request) => ({
    ...request,
    latencyMs: instance.offer(request.at - from, request.creates),
  }))
  const { utilisation } = instance.interval((requests.at(-1)?.at ?? 0) - from)
  return { p99Ms: percentile(answers, 99), utilisation }
}

function percentile(requests: ReadonlyArray<Answered>, percent: number): number {
  const sorted = latencies(requests).sort((a, b) => a - b)
  return Number((sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? Number.NaN).toPrecision(3))
}

const middle = (values: ReadonlyArray<number>): number =>
  Number((values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN).toPrecision(3))
