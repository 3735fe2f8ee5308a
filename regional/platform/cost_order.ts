// Tenants in the order of what they cost: every region that answers ranks its own, and the rankings are merged here.
import { parseTenantNumber } from '../../shared/tenant.ts'
import { invalidCursor, readCursor, writeCursor } from '../cursor.ts'
import type { Reply } from '../operation.ts'
import { byCost, type TenantCost } from '../tenancy/cost.ts'
import type { Calls } from './calls.ts'
import { describeAll } from './describe.ts'

const LIST = 'tenants by cost'

export async function listByCost(
  limit: number,
  cursor: string | undefined,
  { regions, callsTo }: { regions: ReadonlyArray<string>; callsTo: (region: string) => Calls },
): Promise<Reply> {
  const after = placeOf(cursor)
  const rankings = await Promise.all(
    regions.map(async (region) => {
      const ranking = await callsTo(region)
        .costs({ limit: limit + 1, after })
        .catch(() => undefined)
      return ranking?.flatMap(({ number: text, units }) => {
        const number = parseTenantNumber(text)
        return number === undefined ? [] : [{ number, units, region }]
      })
    }),
  )
  const merged = rankings.flatMap((ranking) => ranking ?? []).toSorted(byCost)
  const page = merged.slice(0, limit)
  const { described, unreachable } = await describeAll(page, callsTo)
  const last = page.at(-1)
  return {
    status: 200,
    body: {
      // What was erased a moment ago is still ranked, and nobody any more.
      data: page.flatMap(({ units }, i) => {
        const tenant = described[i]?.tenant
        return tenant === undefined ? [] : [{ ...tenant, cost: units }]
      }),
      nextCursor:
        merged.length > limit && last !== undefined
          ? writeCursor(LIST, `${last.units} ${last.number}`)
          : null,
      unreachable: regions.filter((region, i) => rankings[i] === undefined || unreachable.includes(region)),
    },
  }
}

/** @throws {Problem} `invalid_cursor` */
function placeOf(cursor: string | undefined): TenantCost | undefined {
  const [place] = readCursor(LIST, cursor) ?? []
  if (place === undefined) return undefined
  const [, units, text] = /^(\d{1,15}) (\d+)$/.exec(place) ?? []
  const number = parseTenantNumber(text ?? '')
  if (units === undefined || number === undefined) throw invalidCursor()
  return { units: Number(units), number }
}
