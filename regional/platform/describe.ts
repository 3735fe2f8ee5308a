// Tenants as an operator is shown them, wherever they live. A region that does not answer hides no other's.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Calls, Described } from './calls.ts'

export interface DescribedTenants {
  /** In the order asked; null where there is none, or no answer. */
  described: ReadonlyArray<Described | null>
  /** Regions of these tenants that did not answer. */
  unreachable: ReadonlyArray<string>
}

/** Asks each home region once for all of its tenants on a page. */
export async function describeAll(
  places: ReadonlyArray<{ number: TenantNumber; region: string }>,
  callsTo: (region: string) => Calls,
): Promise<DescribedTenants> {
  const found = new Map<TenantNumber, Described | null>()
  const regions = [...Map.groupBy(places, ({ region }) => region)]
  const answers = await Promise.allSettled(
    regions.map(async ([region, own]) => {
      const numbers = own.map(({ number }) => number)
      const described = await callsTo(region).describe({ numbers })
      numbers.forEach((number, i) => {
        found.set(number, described[i] ?? null)
      })
    }),
  )
  return {
    described: places.map(({ number }) => found.get(number) ?? null),
    unreachable: regions.flatMap(([region], i) => (answers[i]?.status === 'rejected' ? [region] : [])),
  }
}
