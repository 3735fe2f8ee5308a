// How a region's fleet follows its demand under the policy in deploy/: what p99 and utilisation come of it over a day, where
// the policy fails, and what a tenant costs beside a deployment of its own. First the model is held against a real region.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { dedicatedCost, type Saving, savingOf } from './scaling/cost.ts'
import { type Demand, demandOfDay, meanRate } from './scaling/demand.ts'
import { meanServiceMs, type Outcome, PROMISED_P99_MS, runFleet } from './scaling/fleet.ts'
import { type Checked, type Measured, measureAll, readMeasured } from './scaling/measured.ts'
import { svgOf } from './scaling/plot.ts'
import { type Policy, SHIPPED } from './scaling/policy.ts'
import { seeded } from './scaling/random.ts'

export const help = `Usage: npm run simulate scaling [-- options]

A day of a region's fleet under its autoscaling policy, simulated request by request, for 1,000 to 1,000,000 tenants,
with service times measured of a real region (test/simulate/scaling/measured.json). Plots go to docs/images/.

  --measure       measure service times, three loads and start times anew first, here; about nine minutes
  --seed <n>      of all randomness (default 9)
  --target <n>    another target utilisation than the one shipped, from 0 to 1
  --no-plots      leave docs/images/ as it is
`

const IMAGES = join(import.meta.dirname, '../../docs/images')
const TENANTS = [1_000, 10_000, 100_000, 1_000_000]
const REQUESTS_PER_TENANT_DAY = 10_000
const CREATES = 0.2
/** Until a new instance has its node, its image and its first readiness probe: what the machine here can't measure. */
const PLACEMENT_S = 10
const SAMPLE = 2
const TARGETS = [0.6, 0.7, 0.8, 0.85, 0.9, 0.95]
const STEPS = [1.1, 1.2, 1.3, 1.5, 1.75, 2, 3, 5]
const WITHIN = 0.25

type Emit = (figure: object) => void
type Say = (line: string) => void

export async function run(args: string[], emit: Emit, say: Say): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      measure: { type: 'boolean' },
      seed: { type: 'string', default: '9' },
      target: { type: 'string' },
      'no-plots': { type: 'boolean' },
    },
  })
  const seed = Number(values.seed)
  const target = Number(values.target ?? SHIPPED.targetUtilisation)
  if (!Number.isInteger(seed)) throw new Error('--seed is a whole number')
  if (!(target > 0 && target <= 1)) throw new Error('--target is above 0, and 1 at most')
  const policy = { ...SHIPPED, targetUtilisation: target }
  const measured = values.measure ? await measureAll(seed, say) : readMeasured()
  emit({ simulation: 'scaling', seed, policy, measuredAt: measured.at, machine: measured.machine })
  say(`seed ${seed}; measured ${measured.at} on ${measured.machine}`)
  check(measured.checks, emit, say)
  const simulated = { measured, seed, emit, say }
  const days = ofDays(policy, simulated)
  const targets = ofTargets(policy, simulated)
  const steps = ofSteps(policy, simulated)
  const savings = ofCost(days, simulated)
  if (!values['no-plots']) plot(days, targets, steps, savings)
}

interface Simulated {
  measured: Measured
  seed: number
  emit: Emit
  say: Say
}

function check(checks: ReadonlyArray<Checked>, emit: Emit, say: Say): void {
  say(`\nmodel beside a region (aim: within ${WITHIN * 100} %)`)
  for (const { rate, creates, measured, predicted } of checks) {
    const off = (of: 'p99Ms' | 'utilisation') => Number((predicted[of] / measured[of] - 1).toPrecision(2))
    const wrong = { p99Ms: off('p99Ms'), utilisation: off('utilisation') }
    emit({ simulation: 'scaling', check: { rate, creates }, measured, predicted, wrong })
    say(
      `${rate} requests/s: p99 ${measured.p99Ms} ms, predicted ${predicted.p99Ms} (${percent(wrong.p99Ms)}); ` +
        `busy ${measured.utilisation}, predicted ${predicted.utilisation} (${percent(wrong.utilisation)})` +
        `${Math.max(Math.abs(wrong.p99Ms), Math.abs(wrong.utilisation)) > WITHIN ? '  OUTSIDE' : ''}`,
    )
  }
}

interface Day {
  demand: Demand
  outcome: Outcome
}

function fleet(rates: Float64Array, policy: Policy, { measured, seed }: Simulated): Outcome {
  const startS = PLACEMENT_S + Math.max(...measured.startMs) / 1_000
  const options = { service: measured.service, policy, creates: CREATES, startS, sample: SAMPLE }
  return runFleet(rates, { ...options, random: seeded(seed) })
}

const summary = ({ minutes: _, ...outcome }: Outcome) => outcome

function row(outcome: Outcome): string {
  const { p99Ms, utilisation, refused, badMinutes, most, instanceHours } = outcome
  return (
    `p99 ${p99Ms.toFixed(1)} ms, ${percent(utilisation)} busy, refused ${(refused * 100).toFixed(3)} %, ` +
    `${percent(badMinutes)} of minutes bad, ${(instanceHours / 24).toFixed(1)} instances, ${most} at most`
  )
}

function ofDays(policy: Policy, simulated: Simulated): Day[] {
  const days: Day[] = []
  simulated.say(
    `\na day, ${REQUESTS_PER_TENANT_DAY} requests of a tenant, target ${policy.targetUtilisation}`,
  )
  for (const bursty of [false, true]) {
    for (const tenants of TENANTS) {
      const demand = { tenants, requestsPerTenantDay: REQUESTS_PER_TENANT_DAY, bursty }
      const outcome = fleet(demandOfDay(demand, seeded(simulated.seed)), policy, simulated)
      days.push({ demand, outcome })
      simulated.emit({ simulation: 'scaling', demand, ...summary(outcome) })
      simulated.say(`${tenants} tenants, ${bursty ? 'bursty' : 'daily'}: ${row(outcome)}`)
    }
  }
  return days
}

interface OfTarget {
  target: number
  bursty: boolean
  outcome: Outcome
}

/** The same day under other targets. */
function ofTargets(policy: Policy, simulated: Simulated): OfTarget[] {
  const results: OfTarget[] = []
  simulated.say('\na day of 100,000 tenants by target utilisation')
  for (const bursty of [false, true]) {
    for (const target of TARGETS) {
      const demand = { tenants: 100_000, requestsPerTenantDay: REQUESTS_PER_TENANT_DAY, bursty }
      const rates = demandOfDay(demand, seeded(simulated.seed))
      const outcome = fleet(rates, { ...policy, targetUtilisation: target }, simulated)
      results.push({ target, bursty, outcome })
      simulated.emit({ simulation: 'scaling', target, demand, ...summary(outcome) })
      simulated.say(`${target}, ${bursty ? 'bursty' : 'daily'}: ${row(outcome)}`)
    }
  }
  return results
}

interface OfStep {
  times: number
  worstP99Ms: number
  refused: number
  recoveryS: number
}

const CALM_S = 1_800
const STEP_S = 900

/** Load that jumps within one second: from what eight instances serve to so many times as much. */
function ofSteps(policy: Policy, simulated: Simulated): OfStep[] {
  simulated.say('\nload that jumps within a second')
  const before = (8 * policy.targetUtilisation * 1_000) / meanServiceMs(simulated.measured.service, CREATES)
  return STEPS.map((times) => {
    const rates = Float64Array.from({ length: CALM_S + STEP_S }, (_, s) => before * (s < CALM_S ? 1 : times))
    const { minutes } = fleet(rates, policy, simulated)
    const after = minutes.slice(CALM_S / 60)
    const isBad = ({ p99Ms, refused }: (typeof minutes)[number]) => p99Ms >= PROMISED_P99_MS || refused > 0
    const step = {
      times,
      worstP99Ms: Math.max(...after.map(({ p99Ms }) => p99Ms)),
      refused: after.reduce((sum, { refused }) => sum + refused, 0) / after.length,
      recoveryS: (after.findLastIndex(isBad) + 1) * 60,
    }
    simulated.emit({ simulation: 'scaling', step })
    simulated.say(
      `× ${times}: worst minute's p99 ${step.worstP99Ms.toFixed(0)} ms, refused in the quarter of an hour ` +
        `${(step.refused * 100).toFixed(2)} %, well again after ${step.recoveryS} s`,
    )
    return step
  })
}

function ofCost(days: ReadonlyArray<Day>, { measured, emit, say }: Simulated): Saving[] {
  const largest = days.findLast(({ demand }) => !demand.bursty)
  if (largest === undefined) return []
  const capacity = 1_000 / meanServiceMs(measured.service, CREATES)
  say('\ninstances (of full size, on average) that a tenant takes, beside a deployment of its own')
  for (const { demand, outcome } of days) {
    const shared = outcome.instanceHours / 24 / demand.tenants
    const own = dedicatedCost(meanRate(demand) / demand.tenants / capacity)
    const saving = 1 - shared / own
    emit({ simulation: 'scaling', cost: { ...demand, shared, own, saving } })
    say(
      `${demand.tenants} tenants, ${demand.bursty ? 'bursty' : 'daily'}: ${shared.toPrecision(3)} ` +
        `beside ${own.toPrecision(3)}, ${(saving * 100).toFixed(2)} % less`,
    )
  }
  const savings = savingOf(largest.outcome.utilisation, capacity)
  const least = savings.findLast(({ saving }) => saving >= 0.8)
  emit({ simulation: 'scaling', capacity, eightyPerCentUpTo: least?.rate })
  say(
    `an instance serves ${capacity.toFixed(0)} requests/s; 80 % less up to ${least?.rate.toFixed(0)} requests/s of a tenant`,
  )
  return savings
}

const MIN_A_DAY = 1_440
const hours = (tick: number): string => `${tick} h`
const percent = (part: number): string => `${(part * 100).toFixed(0)} %`
const HOURS = { label: 'time of day', ticks: [0, 4, 8, 12, 16, 20, 24], format: hours }
const named = ({ demand }: Day): string => `${demand.tenants.toLocaleString('en')} tenants`

function plot(
  days: ReadonlyArray<Day>,
  targets: ReadonlyArray<OfTarget>,
  steps: ReadonlyArray<OfStep>,
  savings: ReadonlyArray<Saving>,
): void {
  mkdirSync(IMAGES, { recursive: true })
  const save = (name: string, svg: string) => writeFileSync(join(IMAGES, `scaling-${name}.svg`), svg)
  const bursty = days.filter(({ demand }) => demand.bursty)
  const overDay = (day: Day, of: (minute: Outcome['minutes'][number]) => number, each = 5) => {
    const { minutes } = day.outcome
    return Array.from({ length: MIN_A_DAY / each }, (_, i): [number, number] => {
      const some = minutes.slice(i * each, (i + 1) * each)
      return [(i * each) / 60, some.reduce((most, minute) => Math.max(most, of(minute)), 0)]
    })
  }
  save(
    'utilisation',
    svgOf({
      title: 'Utilisation over a bursty day',
      x: HOURS,
      y: { label: 'busy', ticks: [0, 0.2, 0.4, 0.6, 0.8, 1], format: percent },
      lines: bursty.map((day) => ({
        name: named(day),
        points: overDay(day, ({ utilisation }) => utilisation),
      })),
      mark: { at: 0.8, name: '80 %' },
    }),
  )
  save(
    'p99',
    svgOf({
      title: 'p99 of each five minutes’ worst, over a bursty day',
      x: HOURS,
      y: { label: 'ms', log: true, ticks: [1, 10, 100, 1_000] },
      lines: bursty.map((day) => ({ name: named(day), points: overDay(day, ({ p99Ms }) => p99Ms) })),
      mark: { at: PROMISED_P99_MS, name: 'promised: 100 ms' },
    }),
  )
  save(
    'targets',
    svgOf({
      title: 'By target utilisation, 100,000 tenants',
      x: { label: 'target utilisation', ticks: [0.6, 0.7, 0.8, 0.9, 1], format: percent },
      y: { label: 'over the day', ticks: [0, 0.2, 0.4, 0.6, 0.8, 1], format: percent },
      lines: [false, true].flatMap((isBursty) => {
        const own = targets.filter((one) => one.bursty === isBursty)
        const name = isBursty ? 'bursty' : 'daily'
        return [
          { name: `busy, ${name}`, points: own.map((one) => [one.target, one.outcome.utilisation] as const) },
          {
            name: `bad minutes, ${name}`,
            points: own.map((one) => [one.target, one.outcome.badMinutes] as const),
            dashed: true,
          },
        ]
      }),
      mark: { at: 0.8, name: '80 %' },
    }),
  )
  save(
    'steps',
    svgOf({
      title: 'Load that jumps within a second: the worst minute',
      x: { label: 'times as much as before', log: true, ticks: STEPS },
      y: { label: 'p99, ms', log: true, ticks: [1, 10, 100, 1_000] },
      lines: [{ name: 'p99', points: steps.map(({ times, worstP99Ms }) => [times, worstP99Ms] as const) }],
      mark: { at: PROMISED_P99_MS, name: 'promised: 100 ms' },
    }),
  )
  save(
    'cost',
    svgOf({
      title: 'What sharing saves a tenant, beside a deployment of its own',
      x: {
        label: 'requests a second of the tenant',
        log: true,
        ticks: [0.01, 0.1, 1, 10, 100, 1_000, 10_000],
      },
      y: { label: 'less', ticks: [0, 0.2, 0.4, 0.6, 0.8, 1], format: percent },
      lines: [{ name: 'saving', points: savings.map(({ rate, saving }) => [rate, saving] as const) }],
      mark: { at: 0.8, name: '80 %' },
    }),
  )
}
