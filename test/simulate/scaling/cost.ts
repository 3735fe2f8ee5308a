// What a tenant costs in a fleet that is shared, and in a deployment of its own: in instances of full size, since these are
// what is paid. The database is left out on both sides, which is in favour of deployments of their own.

/** Two of the smallest that is sold (a quarter of a processor), in two zones: as many as the shared fleet never goes below. */
const SMALLEST = { count: 2, size: 0.25 }
/** A deployment of its own is let run as well as a shared fleet at best. */
const OWN_UTILISATION = 0.8

/** @param load what the tenant asks for on average, in instances that would be busy all the time */
export const dedicatedCost = (load: number): number =>
  Math.max(SMALLEST.count * SMALLEST.size, load / OWN_UTILISATION)

export interface Saving {
  /** Requests a second of the tenant. */
  rate: number
  /** From 0 to 1. */
  saving: number
}

/** @param utilisation of the shared fleet. @param capacity requests a second of a busy instance */
export function savingOf(utilisation: number, capacity: number): Saving[] {
  return Array.from({ length: 121 }, (_, i) => {
    const rate = 10 ** (i / 20 - 2)
    const load = rate / capacity
    return { rate, saving: Math.max(0, 1 - load / utilisation / dedicatedCost(load)) }
  })
}
