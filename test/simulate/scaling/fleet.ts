// A fleet under its autoscaler, for as long as demand is given. Requests go to instances at random, so each instance gets a
// Poisson stream of its own, whatever the others get: a few are simulated request by request, and stand for all.
import { Histogram } from './histogram.ts'
import { ADMISSION, Instance, type Interval, type Service } from './instance.ts'
import { Autoscaler, type Policy, SYNC_S } from './policy.ts'
import { exponential, meanOfSlices, type Random } from './random.ts'

export interface FleetOptions {
  service: Service
  policy: Policy
  /** Part of the requests that creates something. */
  creates: number
  /** From the decision until an instance serves. */
  startS: number
  /** Instances simulated request by request, at most. */
  sample: number
  random: Random
}

/** Of one minute. */
export interface Minute {
  rate: number
  instances: number
  utilisation: number
  p99Ms: number
  refused: number
}

export interface Outcome {
  requests: number
  /** Part of all, from 0 to 1. */
  refused: number
  p50Ms: number
  p99Ms: number
  /** Of the time that instances were there for, busy. */
  utilisation: number
  instanceHours: number
  most: number
  /** Part of the minutes whose p99 was 100 ms or more, or in which more than 1 in 1,000 was refused. */
  badMinutes: number
  minutes: Minute[]
}

export const PROMISED_P99_MS = 100
/** Prometheus asks each instance this often for what its last second was like: more seldom than what is shipped. */
export const SCRAPE_S = 15
const MOST_REFUSED = 0.001

/** @param rates requests a second, for each second */
export function runFleet(rates: Float64Array, options: FleetOptions): Outcome {
  const { service, policy, creates, startS, sample, random } = options
  const autoscaler = new Autoscaler(policy)
  const capacity = 1_000 / meanServiceMs(service, creates)
  let ready = Math.max(policy.minimum, Math.ceil((rates[0] ?? 0) / capacity / policy.targetUtilisation))
  const starting: Array<{ readyAtS: number; count: number }> = []
  const tracked: Instance[] = []
  const scraped: Array<{ atS: number; interval: Interval }> = []
  const [all, minute] = [new Histogram(), new Histogram()]
  const sums = { admitted: 0, refused: 0, busy: 0, instanceSeconds: 0, bad: 0, most: 0 }
  const minutes: Minute[] = []
  let ofMinute = { rate: 0, instances: 0, busy: 0, admitted: 0, refused: 0 }
  for (let s = 0; s < rates.length; s++) {
    while (starting[0] !== undefined && starting[0].readyAtS <= s) ready += starting.shift()?.count ?? 0
    while (tracked.length < Math.min(sample, ready)) tracked.push(new Instance(service, random, ADMISSION))
    tracked.length = Math.min(tracked.length, ready)
    const rate = rates[s] ?? 0
    const intervals = tracked.map((instance) => {
      arrive(instance, s * 1_000, rate / ready, creates, random, minute)
      return instance.interval((s + 1) * 1_000)
    })
    const now = together(intervals)
    const instances = ready + starting.reduce((sum, { count }) => sum + count, 0)
    const each = ready / tracked.length
    sums.busy += now.utilisation * ready
    sums.instanceSeconds += instances
    sums.most = Math.max(sums.most, instances)
    ofMinute = {
      rate: ofMinute.rate + rate / 60,
      instances: ofMinute.instances + instances / 60,
      busy: ofMinute.busy + (now.utilisation * ready) / instances / 60,
      admitted: ofMinute.admitted + now.admitted * each,
      refused: ofMinute.refused + now.refused * each,
    }
    if (s % SCRAPE_S === 0) scraped.push({ atS: s, interval: now })
    if (s % SYNC_S === SYNC_S - 1) {
      const signals = {
        utilisation: averaged(scraped, s - policy.utilisationWindowS, ({ utilisation }) => utilisation),
        queueWaitMs: averaged(scraped, s - policy.queueWaitWindowS, ({ queueWaitMs }) => queueWaitMs),
        ready,
        instances,
      }
      const wanted = autoscaler.decide(s, signals)
      if (wanted > instances) starting.push({ readyAtS: s + startS, count: wanted - instances })
      else ready -= takenBack(starting, instances - wanted)
      while (scraped.length > 60) scraped.shift()
    }
    if (s % 60 === 59) {
      const p99Ms = minute.percentile(99)
      const { rate, instances, busy, admitted, refused } = ofMinute
      const part = refused / Math.max(1, admitted + refused)
      if (p99Ms >= PROMISED_P99_MS || part > MOST_REFUSED) sums.bad++
      minutes.push({ rate, instances, utilisation: busy, p99Ms, refused: part })
      sums.admitted += admitted
      sums.refused += refused
      all.addAll(minute)
      minute.clear()
      ofMinute = { rate: 0, instances: 0, busy: 0, admitted: 0, refused: 0 }
    }
  }
  return {
    requests: Math.round(sums.admitted + sums.refused),
    refused: sums.refused / Math.max(1, sums.admitted + sums.refused),
    p50Ms: all.percentile(50),
    p99Ms: all.percentile(99),
    utilisation: sums.busy / sums.instanceSeconds,
    instanceHours: sums.instanceSeconds / 3_600,
    most: sums.most,
    badMinutes: sums.bad / Math.max(1, minutes.length),
    minutes,
  }
}

/** Of a busy instance: what its capacity follows from. */
export const meanServiceMs = ({ next }: Service, creates: number): number =>
  meanOfSlices(next.read) * (1 - creates) + meanOfSlices(next.create) * creates

/** One second of Poisson arrivals. */
function arrive(
  instance: Instance,
  fromMs: number,
  rate: number,
  creates: number,
  random: Random,
  latencies: Histogram,
): void {
  const gap = 1_000 / rate
  for (let at = exponential(random, gap); at < 1_000; at += exponential(random, gap)) {
    const latency = instance.offer(fromMs + at, random() < creates)
    if (latency !== undefined) latencies.add(latency)
  }
}

function together(intervals: ReadonlyArray<Interval>): Interval {
  const sum = { utilisation: 0, queueWaitMs: 0, admitted: 0, refused: 0 }
  for (const one of intervals) {
    sum.utilisation += one.utilisation / intervals.length
    sum.queueWaitMs += one.queueWaitMs / intervals.length
    sum.admitted += one.admitted
    sum.refused += one.refused
  }
  return sum
}

function averaged(
  scraped: ReadonlyArray<{ atS: number; interval: Interval }>,
  sinceS: number,
  of: (interval: Interval) => number,
): number {
  const recent = scraped.filter(({ atS }) => atS > sinceS)
  return recent.reduce((sum, { interval }) => sum + of(interval), 0) / Math.max(1, recent.length)
}

/** Those that start are given up first. @returns how many that serve have to go */
function takenBack(starting: Array<{ readyAtS: number; count: number }>, fewer: number): number {
  let left = fewer
  for (let last = starting.at(-1); left > 0 && last !== undefined; last = starting.at(-1)) {
    const given = Math.min(left, last.count)
    last.count -= given
    left -= given
    if (last.count === 0) starting.pop()
  }
  return left
}
