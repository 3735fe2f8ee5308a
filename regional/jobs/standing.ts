// Standing work of a tenant in its queue: an entry, and beside it where it stands. Whoever has something to do writes the
// entry at the head, blindly, so that a tenant's writers never conflict over it; visits call whoever does the work, and
// leave it; and who has done all of it takes it away, in the transaction that has seen so.
import { jsonSpace } from '../storage/space.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import { jobsOf } from './queue.ts'
import { dueSpace } from './record.ts'

/** When whoever was called is called again: what a crash costs, at most, beside its lease. */
export const AGAIN_MS = 2_000
const AT_ONCE = 0

/** Where the entry stands that is not at the head. */
const laterSpace = jsonSpace<[kind: string], number>('standing')

/** Calls for standing work, with this commit. */
export function callStanding(scope: TenantScope, kind: string): void {
  jobsOf(scope).space(dueSpace).set([AT_ONCE, kind], { kind, turn: 0 })
  scope.call()
}

/**
 * Puts the entry where it belongs, in a transaction that has read all that could call for it at once.
 * @param atMs when there is something to do again; undefined for never, until somebody calls
 */
export async function standAt(scope: TenantScope, kind: string, atMs: number | undefined): Promise<void> {
  const jobs = jobsOf(scope)
  const before = await jobs.space(laterSpace).get([kind])
  jobs.space(dueSpace).clear([AT_ONCE, kind])
  if (before !== undefined) jobs.space(dueSpace).clear([before, kind])
  if (atMs === undefined) {
    jobs.space(laterSpace).clear([kind])
    return
  }
  jobs.space(laterSpace).set([kind], atMs)
  jobs.space(dueSpace).set([atMs, kind], { kind, turn: 0 })
  scope.point()
}
