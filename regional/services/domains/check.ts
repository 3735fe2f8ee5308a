// Whether a domain's DNS says whose it is, and what follows where it says so no more.
import { asTenantNumber, type TenantNumber } from '../../../shared/tenant.ts'
import { jobKind, type ServiceJobKind, UNTIL_DONE } from '../../jobs/kind.ts'
import type { Check } from './schema.ts'
import { type DomainRecord, findDomain, noteLoss, recordOf } from './store.ts'

/** Of a domain in the control region's directory: `id` is the record's that it stands for. */
export interface DomainClaim {
  number: TenantNumber
  domain: string
  id: string
}

export interface DomainOptions {
  /** Every TXT record of a name, in its parts (RFC 1035); rejects as `node:dns` does. */
  resolveTxt(name: string): Promise<ReadonlyArray<ReadonlyArray<string>>>
  /** @returns false when it is another organisation's; whether it still is, is looked at then. Repeatable. */
  claim(claim: DomainClaim): Promise<boolean>
  release(claim: DomainClaim): Promise<void>
}

/** How long a check takes at most. */
export const CHECK_MS = 15_000

const NO_SUCH_RECORD: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

/** Looks at the DNS, and claims the domain where it says that it is this organisation's. */
export async function checkDomain(
  { resolveTxt, claim }: DomainOptions,
  number: TenantNumber,
  record: DomainRecord,
): Promise<Check> {
  const { id, domain } = record
  const { name, value } = recordOf(record)
  let found: ReadonlyArray<ReadonlyArray<string>>
  try {
    found = await resolveTxt(name)
  } catch (error) {
    return NO_SUCH_RECORD.has((error as NodeJS.ErrnoException).code) ? 'not_found' : 'lookup_failed'
  }
  if (!found.some((parts) => parts.join('') === value)) return 'wrong_value'
  const claimed = await claim({ number, domain, id }).catch(() => undefined)
  if (claimed === undefined) return 'lookup_failed'
  return claimed ? 'verified' : 'taken'
}

export const releasingDomain = ({ release }: Pick<DomainOptions, 'release'>) =>
  jobKind<{ number: string; domain: string; id: string }>({
    kind: 'domains.release',
    service: 'domains',
    retry: UNTIL_DONE,
    outside: async ({ payload: { number, domain, id } }) => {
      await release({ number: asTenantNumber(BigInt(number)), domain, id })
      return undefined
    },
    step: async () => ({ finished: true }),
  })

interface Seen {
  number: TenantNumber
  /** None where it is gone without the directory having heard of it: this region's data was restored from before it was made. */
  record: DomainRecord | undefined
}

export interface RecheckedDomain {
  id: string
  /** Earlier versions did not say it. */
  domain?: string | undefined
}

export type RecheckingDomain = ServiceJobKind<
  RecheckedDomain,
  null,
  { record: DomainRecord; outcome: Check } | undefined,
  Seen | undefined
>

/**
 * Somebody else has shown a verified domain to be theirs. Where its DNS says no more that it is this organisation's, it is
 * freed, and the record says so. A look-up that fails changes nothing: whoever wants the domain asks again.
 */
export const recheckingDomain = (options: DomainOptions): RecheckingDomain => ({
  kind: 'domains.recheck',
  service: 'domains',
  promised: true,
  retry: UNTIL_DONE,
  async read(tx, { payload }) {
    const record = await findDomain(tx, payload.id)
    // Also of one that is not verified: its claim may have been made without its record hearing of it.
    return { number: tx.tenant, record }
  },
  async outside({ payload: { id, domain } }, _signal, seen) {
    if (seen === undefined) return undefined
    const { number, record } = seen
    if (record === undefined) {
      if (domain !== undefined) await options.release({ number, domain, id })
      return undefined
    }
    const outcome = await checkDomain(options, number, record)
    if (outcome === 'not_found' || outcome === 'wrong_value') {
      await options.release({ number, domain: record.domain, id: record.id })
    }
    return { record, outcome }
  },
  async step(tx, _job, looked) {
    if (looked === undefined || looked.record.verifiedAt === null) return { finished: true }
    if (looked.outcome === 'verified' || looked.outcome === 'lookup_failed') return { finished: true }
    const isNoted = await noteLoss(tx, looked.record, looked.outcome)
    // A check of its own that is under way may have claimed it before it was freed: once that has ended, one more look.
    return { next: null, runAtMs: isNoted ? tx.nowMs + CHECK_MS : tx.nowMs }
  },
})
