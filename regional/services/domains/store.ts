// Domains as they are kept. A verified one is also in the control region's directory, where edges find it; the
// directory's entry names this record, so that an old one's end never ends a new one.
import { type Id, newId } from '../../../shared/ids.ts'
import type { JobTransaction } from '../../jobs/kind.ts'
import { jsonSpace, notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'
import type { Check, Domain } from './schema.ts'

export interface DomainRecord {
  id: Id<'dom'>
  domain: string
  token: string
  lastCheck: { at: string; outcome: Check } | null
  createdAt: string
  verifiedAt: string | null
}

type DomainsTransaction = Pick<TenantTransaction, 'space'>

const domains = jsonSpace<[id: string], DomainRecord>('domain')
/** One of a name at a time. */
const byName = jsonSpace<[domain: string], string>('name')

/** Where the TXT record is looked for. */
const LABEL = '_coditect'

export const recordOf = ({ domain, token }: Pick<DomainRecord, 'domain' | 'token'>): Domain['record'] => ({
  type: 'TXT',
  name: `${LABEL}.${domain}`,
  value: `coditect-verification=${token}`,
})

export const shown = (record: DomainRecord): Domain => {
  const { token: _, ...rest } = record
  return { ...rest, status: record.verifiedAt === null ? 'pending' : 'verified', record: recordOf(record) }
}

/** The one that is there already, or a new one. @throws {Problem} `quota_exceeded` */
export async function addDomain(
  tx: TenantTransaction,
  domain: string,
  token: string,
): Promise<{ record: DomainRecord; made: boolean }> {
  const known = await tx.space(byName).get([domain])
  if (known !== undefined) return { record: await readDomain(tx, known), made: false }
  await tx.take('domains', 1)
  const { nowMs } = tx.context
  const record: DomainRecord = {
    id: newId('dom', nowMs),
    domain,
    token,
    lastCheck: null,
    createdAt: new Date(nowMs).toISOString(),
    verifiedAt: null,
  }
  tx.space(domains).set([record.id], record)
  tx.space(byName).set([domain], record.id)
  tx.emit('domain.created', record.id)
  return { record, made: true }
}

/** @throws {Problem} `not_found` */
export async function readDomain(tx: DomainsTransaction, id: string): Promise<DomainRecord> {
  const record = await findDomain(tx, id)
  if (record === undefined) throw notFound()
  return record
}

export const findDomain = (
  tx: Pick<JobTransaction, 'space'>,
  id: string,
): Promise<DomainRecord | undefined> => tx.space(domains).get([id])

export const listDomains = (
  tx: DomainsTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], DomainRecord>> => tx.space(domains).page({ limit, after })

/** @returns the domain as it is now; undefined when it was taken away meanwhile. */
export async function noteCheck(
  tx: TenantTransaction,
  id: string,
  outcome: Check,
): Promise<DomainRecord | undefined> {
  const before = await findDomain(tx, id)
  if (before === undefined) return undefined
  const at = new Date(tx.context.nowMs).toISOString()
  const verifiedAt = outcome === 'verified' ? (before.verifiedAt ?? at) : before.verifiedAt
  const after = { ...before, lastCheck: { at, outcome }, verifiedAt }
  tx.space(domains).set([id], after)
  if (verifiedAt !== before.verifiedAt) tx.emit('domain.verified', id)
  return after
}

/**
 * The domain is this organisation's no more.
 * @returns false when it was taken away, or looked at again, since it was as it is here
 */
export async function noteLoss(
  tx: Pick<JobTransaction, 'space' | 'emit' | 'nowMs'>,
  { id, lastCheck }: DomainRecord,
  outcome: Check,
): Promise<boolean> {
  const before = await findDomain(tx, id)
  if (before === undefined || before.lastCheck?.at !== lastCheck?.at) return false
  const at = new Date(tx.nowMs).toISOString()
  tx.space(domains).set([id], { ...before, lastCheck: { at, outcome }, verifiedAt: null })
  tx.emit('domain.lost', id)
  return true
}

export async function removeDomain(tx: TenantTransaction, { id, domain }: DomainRecord): Promise<void> {
  await tx.take('domains', -1)
  tx.space(domains).clear([id])
  tx.space(byName).clear([domain])
  tx.emit('domain.deleted', id)
}
