// What a region's service times are, from requests that were really answered. What a FIFO server spent on a request is the
// time from when it could begin, the arrival or the departure before, to the departure: Lindley's equation the other way.
import type { Service } from './instance.ts'
import { meanOf, slicesOf } from './random.ts'
import type { Answered, Ran } from './region_load.ts'

/** The loads that a calibration needs. Rates are far from those that the model is checked at. */
export interface CalibrationLoads {
  reads: Ran
  fewCreates: Ran
  creates: Ran
}

const SLICES = 400
/** Not measured: a refused request is verified, and no more. */
const REFUSAL_PART = 0.5
/** Less than that nothing takes. */
const LEAST_MS = 0.02

/** @throws {Error} when the loads tell nothing, as on a machine that had no time for them */
export function serviceOf({ reads, fewCreates, creates }: CalibrationLoads): Service {
  const spent = spentOn(reads.requests)
  const idle = spent.first.length / (spent.first.length + spent.next.length)
  const nextRead = meanOf(spent.next)
  const firstRead = Math.max(nextRead, (loopMs(reads) - (1 - idle) * nextRead) / idle)
  const overhead = meanOf(spent.first) - firstRead
  // At the same utilisation a create costs so many times a read.
  const { utilisation } = creates
  const times = loopMs(creates) / ((1 - utilisation) * firstRead + utilisation * nextRead)
  const [firstCreate, nextCreate] = [firstRead * times, nextRead * times]
  const first = spent.first.map((ms) => Math.max(LEAST_MS, ms - overhead))
  const scaled = (values: ReadonlyArray<number>, mean: number) => {
    const factor = mean / meanOf(values)
    // To stand still takes as long whatever is asked.
    return slicesOf(values, SLICES).map((slice) =>
      typeof slice === 'number' ? rounded(slice * factor) : slice.map(rounded),
    )
  }
  const alone = latencies(fewCreates.requests).map((ms) => Math.max(LEAST_MS, ms - overhead - firstCreate))
  return {
    first: { read: scaled(first, firstRead), create: scaled(first, firstCreate) },
    next: { read: scaled(spent.next, nextRead), create: scaled(spent.next, nextCreate) },
    commit: scaled(alone, meanOf(alone)),
    refusal: rounded(nextRead * REFUSAL_PART),
    overhead: rounded(overhead),
  }
}

/** Milliseconds that the loop is busy for each request. */
const loopMs = ({ utilisation, requests }: Ran): number => (utilisation * spanMs(requests)) / requests.length

function spanMs(requests: ReadonlyArray<Answered>): number {
  return (requests.at(-1)?.at ?? 0) - (requests[0]?.at ?? 0)
}

/** Of each request, by whether another was under way when it came. */
export function spentOn(requests: ReadonlyArray<Answered>): { first: number[]; next: number[] } {
  const spent: { first: number[]; next: number[] } = { first: [], next: [] }
  let departure = Number.NEGATIVE_INFINITY
  for (const { at, latencyMs, disturbed } of requests) {
    if (latencyMs === undefined) continue
    const before = departure
    departure = Math.max(departure, at + latencyMs)
    if (disturbed) continue
    if (at >= before) spent.first.push(departure - at)
    else spent.next.push(Math.max(0, departure - before))
  }
  return spent
}

/** Of those that were answered, and not disturbed. */
export const latencies = (requests: ReadonlyArray<Answered>): number[] =>
  requests.flatMap(({ latencyMs, disturbed }) => (latencyMs === undefined || disturbed ? [] : [latencyMs]))

const rounded = (ms: number): number => Number(ms.toPrecision(3))
