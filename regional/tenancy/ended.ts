// What was ended all at once: every session and link that there was, or every link of one session. However many they are,
// one key says so, and whoever uses one of them reads that in the same transaction.
import { jsonSpace } from '../storage/space.ts'
import type { AdminLinkRecord } from './records.ts'
import type { Scope } from './region_database.ts'

/** The present era, from 1 on; nothing before all sessions were ended once. */
const eraSpace = jsonSpace<['era'], { number: number; beganAt: string }>('era')

/** Sessions that were ended, and when: told for as long as a link that one of them made could hold. */
export const endedSpace = jsonSpace<[sessionId: string], string>('ended')

/** Sessions and links of one that is over let nobody in. Those without a number are of the first. */
interface OfEra {
  era?: number
}

export const presentEra = async (credentials: Scope): Promise<number> =>
  (await credentials.space(eraSpace).get(['era']))?.number ?? 0

/** Ends everything that there is, and what is being made meanwhile: its makers read which era it is. */
export async function beginEra(credentials: Scope, nowMs: number): Promise<void> {
  const number = (await presentEra(credentials)) + 1
  credentials.space(eraSpace).set(['era'], { number, beganAt: new Date(nowMs).toISOString() })
}

export const isOver = async (credentials: Scope, { era = 0 }: OfEra): Promise<boolean> =>
  era < (await presentEra(credentials))

/** When a link was taken back, whether alone, with the session that made it, or with everything. RFC 3339 */
export async function takenBackAt(
  credentials: Scope,
  { revokedAt, madeIn, era = 0 }: Pick<AdminLinkRecord, 'revokedAt' | 'madeIn' | 'era'>,
): Promise<string | null> {
  const [present, makerEndedAt] = await Promise.all([
    credentials.space(eraSpace).get(['era']),
    madeIn === null ? undefined : credentials.space(endedSpace).get([madeIn]),
  ])
  const eraEndedAt = present !== undefined && era < present.number ? present.beganAt : null
  return revokedAt ?? makerEndedAt ?? eraEndedAt
}
