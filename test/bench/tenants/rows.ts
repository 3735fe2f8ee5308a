// A tenant's rows as a pattern: read from one that was really made, written again for as many others as a benchmark
// wants. What differs between tenants (number, id, slug) is put in; the rest of the rows is theirs to the byte.
import { type NativeDatabase, StreamingMode } from '../../../regional/storage/foundationdb.ts'
import { keySpace, numberKey } from '../../../regional/storage/keys.ts'
import { type TenantNumber, tenantId, tenantNumberOf } from '../../../shared/tenant.ts'

export interface Row {
  key: Buffer
  value: Buffer
}

/** What tells one tenant's rows from another's. */
export interface TenantNames {
  number: TenantNumber
  id: string
  slug: string
}

const keys = keySpace('')

export function namesOf({ id, slug }: { id: string; slug: string }): TenantNames {
  const number = tenantNumberOf(id)
  if (number === undefined) throw new Error(`${id} is not a tenant's id`)
  return { number, id, slug }
}

/** Names of the nth bulk-loaded tenant: as long as any other's, so that its rows are as long. */
export function bulkNames(first: bigint, n: number): TenantNames {
  const number = (first + BigInt(n)) as TenantNumber
  return { number, id: tenantId(number, 1_800_000_000_000), slug: `bulk-${String(n).padStart(11, '0')}` }
}

/** Everything that the database holds of a tenant: its prefix, and its entries in the directory. */
export async function rowsOfTenant(native: NativeDatabase, { number, slug }: TenantNames): Promise<Row[]> {
  const own = await range(native, keys.tenant(number), Buffer.concat([keys.tenant(number), Buffer.of(0xff)]))
  const directory = await range(native, keys.platform, keys.tenants)
  const mentions = ({ key }: Row) => key.includes(slug) || key.includes(numberKey(number))
  return [...directory.filter(mentions), ...own]
}

async function range(native: NativeDatabase, begin: Buffer, end: Buffer): Promise<Row[]> {
  const tn = native.createTransaction()
  const { results } = await tn.getRange(
    begin,
    false,
    1,
    end,
    false,
    1,
    0,
    0,
    StreamingMode.WantAll,
    1,
    true,
    false,
  )
  return results.map(([key, value]) => ({ key, value }))
}

/** The row of one tenant as the row of another. */
export const rowFor = ({ key, value }: Row, from: TenantNames, to: TenantNames): Row => ({
  key: replaced(replaced(key, numberKey(from.number), numberKey(to.number)), from.slug, to.slug),
  value: replaced(
    replaced(replaced(value, from.id, to.id), from.slug, to.slug),
    `"${from.number}"`,
    `"${to.number}"`,
  ),
})

function replaced(bytes: Buffer, from: string | Buffer, to: string | Buffer): Buffer {
  const [old, fresh] = [Buffer.from(from), Buffer.from(to)]
  const parts: Buffer[] = []
  let rest = bytes
  for (let at = rest.indexOf(old); at >= 0; at = rest.indexOf(old)) {
    parts.push(rest.subarray(0, at), fresh)
    rest = rest.subarray(at + old.length)
  }
  return parts.length === 0 ? bytes : Buffer.concat([...parts, rest])
}

/** A row with everything masked that is different each time: ids, times, hashes, sealed text. */
export const masked = ({ key, value }: Row): string =>
  `${key.toString('latin1')} = ${value.toString('latin1')}`
    .replaceAll(/(key|lnk|mem|ten)_[0-9a-z]{26}/g, '$1_…')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, 'time')
    .replaceAll(/"[\w-]{43,}"/g, '"secret"')
    .replaceAll(/"(\w+Ms|expiresAt)":\d+/g, '"$1":time')

/** Writes rows of many tenants, so many rows a commit. */
export async function writeRows(
  native: NativeDatabase,
  rows: Iterable<Row>,
  rowsACommit: number,
): Promise<void> {
  let tn = native.createTransaction()
  let waiting = 0
  for (const { key, value } of rows) {
    tn.set(key, value)
    if (++waiting < rowsACommit) continue
    await tn.commit()
    tn = native.createTransaction()
    waiting = 0
  }
  await tn.commit()
}
