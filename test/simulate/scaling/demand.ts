// What many tenants ask for, second by second: a day's curve, and where it is bursty, three things on top: tenants that
// come in bursts of their own, what is scheduled at every full hour, and one flash crowd.
import { exponential, type Random } from './random.ts'

export interface Demand {
  tenants: number
  /** Requests of one tenant on average; how they are shared among tenants is Zipf's law with exponent 1. */
  requestsPerTenantDay: number
  bursty: boolean
}

export const DAY_S = 86_400
/** The busiest time has four times the load of the quietest. */
const SWING = 0.6
/** The largest tenants come and go by themselves; of all the others together only the mean is felt. */
const LARGEST = 500
/** In a burst, a tenant asks for so many times its mean. */
const BURST_TIMES = 5
const BURST_S = 60
const BETWEEN_BURSTS_S = 1_740
/** The largest plan's limit: the edge refuses more. */
const MOST_OF_A_TENANT = 5_000
const HOURLY = { seconds: 120, times: 1.15 }
/** At half past two in the afternoon, within half a minute. */
const FLASH = { atS: 14.5 * 3_600, riseS: 30, seconds: 900, times: 2 }

/** Requests a second on average, over all tenants and the whole day. */
export const meanRate = ({ tenants, requestsPerTenantDay }: Demand): number =>
  (tenants * requestsPerTenantDay) / DAY_S

/** 1 on average over a day. */
export const dayCurve = (s: number): number => 1 + SWING * Math.sin((2 * Math.PI * (s - DAY_S / 4)) / DAY_S)

/** Requests a second, for each second of a day. */
export function demandOfDay(demand: Demand, random: Random): Float64Array {
  const mean = meanRate(demand)
  const rates = Float64Array.from({ length: DAY_S }, (_, s) => mean * dayCurve(s))
  if (!demand.bursty) return rates
  const shares = harmonic(demand.tenants)
  const burstPart = BURST_S / (BURST_S + BETWEEN_BURSTS_S)
  // What it asks for between bursts, so that its mean stays.
  const quiet = (1 - burstPart * BURST_TIMES) / (1 - burstPart)
  for (let rank = 1; rank <= Math.min(LARGEST, demand.tenants); rank++) {
    const share = 1 / rank / shares
    const isBursting = bursts(random)
    for (let s = 0; s < DAY_S; s++) {
      const steady = mean * dayCurve(s) * share
      const asked = Math.min(MOST_OF_A_TENANT, steady * (isBursting(s) ? BURST_TIMES : quiet))
      rates[s] = (rates[s] ?? 0) + asked - steady
    }
  }
  return rates.map((rate, s) => rate * hourly(s) * flash(s))
}

function bursts(random: Random): (s: number) => boolean {
  let bursting = random() < BURST_S / (BURST_S + BETWEEN_BURSTS_S)
  let until = exponential(random, bursting ? BURST_S : BETWEEN_BURSTS_S)
  return (s) => {
    while (s >= until) {
      bursting = !bursting
      until += exponential(random, bursting ? BURST_S : BETWEEN_BURSTS_S)
    }
    return bursting
  }
}

const hourly = (s: number): number => (s % 3_600 < HOURLY.seconds ? HOURLY.times : 1)

function flash(s: number): number {
  const since = s - FLASH.atS
  if (since < 0 || since > FLASH.seconds) return 1
  return 1 + (FLASH.times - 1) * Math.min(1, since / FLASH.riseS)
}

/** Sum of 1/rank. */
export function harmonic(count: number): number {
  let sum = 0
  for (let rank = 1; rank <= count; rank++) sum += 1 / rank
  return sum
}
