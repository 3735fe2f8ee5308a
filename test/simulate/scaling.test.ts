import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { spentOn } from './scaling/calibrate.ts'
import { savingOf } from './scaling/cost.ts'
import { DAY_S, dayCurve, demandOfDay, meanRate } from './scaling/demand.ts'
import { runFleet, SCRAPE_S } from './scaling/fleet.ts'
import { Histogram } from './scaling/histogram.ts'
import { type Bounds, Instance, type Service } from './scaling/instance.ts'
import { predict } from './scaling/measured.ts'
import { svgOf } from './scaling/plot.ts'
import { Autoscaler, recommended, SHIPPED } from './scaling/policy.ts'
import { exponential, meanOf, seeded, slicesOf } from './scaling/random.ts'

const SEED = 20_261_125
const DEPLOY = join(import.meta.dirname, '../../deploy/kubernetes')

function service(times: number[], commit = [0]): Service {
  const both = { read: times, create: times }
  return { first: both, next: both, commit, refusal: 0.1, overhead: 0 }
}

/** Latencies of Poisson arrivals at one instance. */
function latenciesOf(instance: Instance, rate: number, count: number, creates = false): number[] {
  // Another seed than the instance's: otherwise long gaps would go with long services.
  const random = seeded(SEED + 1)
  let at = 0
  return Array.from({ length: count }, () => {
    at += exponential(random, 1_000 / rate)
    return instance.offer(at, creates) ?? Number.NaN
  })
}

/** Exponential, mean 1. */
const exponentialSlices = Array.from({ length: 5_000 }, (_, i) => -Math.log(1 - (i + 0.5) / 5_000))

describe(`the model of an instance (seed ${SEED})`, () => {
  test('waits as M/D/1 does: mean ρ/2(1−ρ) of a service', () => {
    for (const load of [0.5, 0.8]) {
      const instance = new Instance(service([1]), seeded(SEED))
      const waited = meanOf(latenciesOf(instance, load * 1_000, 400_000)) - 1
      expect(waited / (load / (2 * (1 - load)))).toBeCloseTo(1, 1)
    }
  })

  test('answers as M/M/1 does: mean 1/(μ−λ), p99 ln 100 times that', () => {
    const instance = new Instance(service(exponentialSlices), seeded(SEED))
    const latencies = latenciesOf(instance, 700, 400_000)
    const histogram = new Histogram()
    for (const ms of latencies) histogram.add(ms)
    const mean = 1 / (1 - 0.7)
    expect(meanOf(latencies) / mean).toBeCloseTo(1, 1)
    expect(histogram.percentile(99) / (mean * Math.log(100))).toBeCloseTo(1, 1)
  })

  test('loses no work: what it was busy with is what it was asked for', () => {
    const instance = new Instance(service([2]), seeded(SEED))
    latenciesOf(instance, 300, 3_000)
    const { utilisation, admitted, refused } = instance.interval(20_000)
    expect({ admitted, refused }).toEqual({ admitted: 3_000, refused: 0 })
    expect(utilisation * 20_000).toBeCloseTo(6_000, 3)
  })

  test('lets those who wait for a commit share the next one', () => {
    const instance = new Instance(service([0.001], [10]), seeded(SEED))
    const done = [0, 1, 2, 3].map((at) => at + (instance.offer(at, true) ?? Number.NaN))
    expect(done.map(Math.round)).toEqual([10, 20, 20, 20])
  })

  test('refuses what would wait too long, and sooner once its queue has stood for long', () => {
    const bounds: Bounds = { underWayMs: 10, burstWaitMs: 100, standingWaitMs: 20 }
    const instance = new Instance(service([1]), seeded(SEED), bounds)
    const burst = Array.from({ length: 300 }, () => instance.offer(0, false))
    expect(burst.filter((ms) => ms !== undefined)).toHaveLength(111)
    const random = seeded(SEED)
    const latencies: number[] = []
    for (let at = 1; at < 2_000; at += exponential(random, 0.5)) {
      const ms = instance.offer(at, false)
      if (ms !== undefined && at > 500) latencies.push(ms)
    }
    expect(Math.max(...latencies)).toBeLessThan(10 + 20 + 2)
    const { admitted, refused } = instance.interval(2_000)
    expect(admitted + refused).toBeGreaterThan(4_000)
  })

  test('is fed with what a first-in-first-out server spent on each request', () => {
    const request = (at: number, latencyMs: number) => ({ at, latencyMs, creates: false, disturbed: false })
    const spent = spentOn([request(0, 2), request(1, 3), request(10, 1)])
    expect(spent).toEqual({ first: [2, 1], next: [2] })
  })

  test('gives a measured server back: its own predictions, measured, predict the same', () => {
    const random = seeded(SEED)
    let at = 0
    const requests = Array.from({ length: 50_000 }, () => {
      at += exponential(random, 1.5)
      return { at, creates: false, disturbed: false, latencyMs: undefined as number | undefined }
    })
    const server = new Instance(service(exponentialSlices), seeded(SEED + 2))
    for (const request of requests) request.latencyMs = server.offer(request.at, false)
    const { first, next } = spentOn(requests)
    const times = { read: slicesOf(next, 400), create: slicesOf(next, 400) }
    const learnt = { ...service([1]), first: { read: slicesOf(first, 400), create: [1] }, next: times }
    const sorted = requests.map(({ latencyMs }) => latencyMs ?? Number.NaN).sort((a, b) => a - b)
    const { p99Ms } = predict(learnt, requests, SEED + 3)
    expect(Math.abs(p99Ms / (sorted[Math.floor(sorted.length * 0.99)] ?? 0) - 1)).toBeLessThan(0.15)
  })
})

describe('the policy', () => {
  const calm = { utilisation: 0.8, queueWaitMs: 0, ready: 10, instances: 10 }

  test('is the one that is shipped', () => {
    const [keda] = parseAllDocuments(readFileSync(join(DEPLOY, 'keda.yaml'), 'utf8')).map((one) => one.toJS())
    const { minReplicaCount, maxReplicaCount, advanced, triggers } = keda.spec
    const { scaleUp, scaleDown } = advanced.horizontalPodAutoscalerConfig.behavior
    const windows = triggers.map((trigger: { metadata: { query: string } }) =>
      Number(/\[(\d+)([sm])\]/.exec(trigger.metadata.query)?.[1]),
    )
    expect(SHIPPED).toEqual({
      targetUtilisation: Number(triggers[0].metadata.threshold),
      targetQueueWaitMs: Number(triggers[1].metadata.threshold) * 1_000,
      minimum: minReplicaCount,
      maximum: maxReplicaCount,
      upTimes: 1 + scaleUp.policies[0].value / 100,
      stabilisationS: scaleDown.stabilizationWindowSeconds,
      downPart: scaleDown.policies[0].value / 100,
      utilisationWindowS: windows[0] * 60,
      queueWaitWindowS: windows[1],
    })
  })

  test('hears no sooner than what is shipped does, and docs/scaling.md says of both how often', () => {
    const scrape = parse(readFileSync(join(DEPLOY, '../prometheus/scrape.yaml'), 'utf8'))
    const shippedS = Number.parseInt(scrape.scrape_configs[0].scrape_interval, 10)
    expect(SCRAPE_S).toBeGreaterThanOrEqual(shippedS)
    const page = readFileSync(join(DEPLOY, '../../docs/scaling.md'), 'utf8')
    for (const seconds of [SCRAPE_S, shippedS])
      expect(page).toMatch(new RegExp(`looks\\s+every ${seconds} s`))
  })

  test('leaves a fleet alone that is within a tenth of the target', () => {
    for (const utilisation of [0.73, 0.8, 0.87]) {
      expect(recommended({ ...SHIPPED, targetUtilisation: 0.8 }, { ...calm, utilisation })).toBe(10)
    }
  })

  test('doubles at most, every quarter of a minute', () => {
    const autoscaler = new Autoscaler(SHIPPED)
    const overloaded = { ...calm, utilisation: 1, queueWaitMs: 200 }
    expect(autoscaler.decide(0, overloaded)).toBe(20)
    expect(autoscaler.decide(10, { ...overloaded, instances: 20 })).toBe(20)
    expect(autoscaler.decide(15, { ...overloaded, instances: 20, ready: 20 })).toBe(40)
  })

  test('gives up a tenth a minute, once it was not needed for five', () => {
    const autoscaler = new Autoscaler(SHIPPED)
    const sizes: number[] = []
    let instances = 10
    for (let s = 0; s <= 600; s += 15) {
      const utilisation = s === 0 ? 0.8 : 0.2
      instances = autoscaler.decide(s, { utilisation, queueWaitMs: 0, ready: instances, instances })
      sizes.push(instances)
    }
    expect(sizes.slice(0, 300 / 15)).toEqual(Array(20).fill(10))
    expect([...new Set(sizes)]).toEqual([10, 9, 8, 7, 6, 5, 4])
  })
})

describe('results', () => {
  test('a tenant saves four fifths as long as it needs little of an instance, and nothing once it fills several', () => {
    const savings = savingOf(0.8, 1_000)
    const at = (rate: number) => savings.find((one) => one.rate >= rate * 0.999)?.saving
    expect(at(1)).toBeGreaterThan(0.99)
    expect(savings.findLast(({ saving }) => saving >= 0.8)?.rate).toBeCloseTo(79.4, 1)
    expect(at(10_000)).toBeCloseTo(0, 6)
  })

  test('a plot holds every point inside its axes, and escapes what it is told', () => {
    const axis = { label: 'a < b', ticks: [1, 10, 100], log: true }
    const svg = svgOf({
      title: '"&"',
      x: axis,
      y: axis,
      lines: [
        {
          name: 'one',
          points: [
            [1, 100],
            [1_000, 0],
          ],
        },
      ],
    })
    expect(svg).toContain('d="M64 56L744 274"')
    expect(svg).toContain('a &lt; b')
    expect(svg).toContain('aria-label="&quot;&amp;&quot;"')
  })
})

describe('demand and fleet', () => {
  test('a day’s curve has four times the load at its busiest, and its mean', () => {
    const curve = Array.from({ length: DAY_S }, (_, s) => dayCurve(s))
    expect(meanOf(curve)).toBeCloseTo(1, 6)
    const [least, most] = curve.reduce(([a, b], now) => [Math.min(a, now), Math.max(b, now)], [9, 0])
    expect(most / least).toBeCloseTo(4, 2)
  })

  test('bursts move demand about, and add little to it', () => {
    const demand = { tenants: 1_000, requestsPerTenantDay: 10_000, bursty: true }
    const rates = demandOfDay(demand, seeded(SEED))
    expect(Math.min(...rates)).toBeGreaterThanOrEqual(0)
    expect(meanOf([...rates]) / meanRate(demand)).toBeGreaterThan(0.95)
    expect(meanOf([...rates]) / meanRate(demand)).toBeLessThan(1.1)
  })

  test('what is asked for is answered or refused, and the same seed gives the same day', () => {
    const rates = new Float64Array(600).fill(500)
    const options = () => ({
      service: service([2]),
      policy: SHIPPED,
      creates: 0,
      startS: 10,
      sample: 2,
      random: seeded(SEED),
    })
    const [outcome, again] = [runFleet(rates, options()), runFleet(rates, options())]
    expect(again).toEqual(outcome)
    expect(Math.abs(outcome.requests / 300_000 - 1)).toBeLessThan(0.01)
    // Erlangs over instances: work is conserved.
    expect(Math.abs((outcome.utilisation * outcome.instanceHours * 3_600) / 600 - 1)).toBeLessThan(0.01)
  })
})
