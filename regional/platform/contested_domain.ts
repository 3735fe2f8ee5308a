// Somebody has shown a domain to be theirs that is another organisation's. Whether it still is, that one's home region looks
// at, by a job of that organisation: neither hears of the other. Whoever is told `taken` asks again after it.
import { idBytes, idFromBytes, uuidv7 } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { JobKind } from '../jobs/kind.ts'
import { enqueue, jobsOf } from '../jobs/queue.ts'
import { jobSpace } from '../jobs/record.ts'
import type { RecheckedDomain } from '../services/domains/check.ts'
import { statusSpace } from '../tenancy/records.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'
import type { Directory } from './directory.ts'

/** However often it is asked for, a domain is looked at once in this time. */
const RECHECK_EVERY_MS = 5_000

/** In the control region: has the home region of whoever holds the domain look at it. */
export async function contestDomain(
  domain: string,
  { directory, callsTo }: { directory: Directory; callsTo: (region: string) => Calls },
): Promise<void> {
  const holder = await directory.holderOfDomain(domain)
  const place = holder && (await directory.locate(holder.number))
  if (holder && place) await callsTo(place.region).recheckDomain({ ...holder, domain })
}

/** In its home region: whatever else it is asked meanwhile, one job. */
export function recheckDomain<S, O>(
  database: RegionDatabase,
  kind: JobKind<RecheckedDomain, S, O>,
  { number, id, domain }: RecheckedDomain & { number: TenantNumber },
  nowMs: number,
): Promise<void> {
  return database.tenant(number, async (scope) => {
    const record = idBytes('dom', id)
    const status = await scope.system('status', statusSpace).get(['status'])
    if (record === undefined || status?.status !== 'active') return { value: undefined, commit: false }
    const job = idFromBytes('job', uuidv7(nowMs - (nowMs % RECHECK_EVERY_MS), record.subarray(6)))
    const known = await jobsOf(scope).space(jobSpace).get([job])
    if (known === undefined) enqueue(scope, kind, { id, domain }, nowMs, {}, job)
    return { value: undefined, commit: known === undefined }
  })
}
