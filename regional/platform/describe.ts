// Tenants as an operator is shown them, wherever they live.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Calls, Described } from './calls.ts'

/** Asks each home region once for all of its tenants on a page; answers in the page's order. */
export async function describeAll(
  places: ReadonlyArray<{ number: TenantNumber; region: string }>,
  callsTo: (region: string) => Calls,
): Promise<ReadonlyArray<Described | null>> {
  const found = new Map<TenantNumber, Described | null>()
  const regions = new Set(places.map(({ region }) => region))
  await Promise.all(
    [...regions].map(async (region) => {
      const numbers = places.filter((place) => place.region === region).map(({ number }) => number)
      const described = await callsTo(region).describe({ numbers })
      numbers.forEach((number, i) => {
        found.set(number, described[i] ?? null)
      })
    }),
  )
  return places.map(({ number }) => found.get(number) ?? null)
}
