// What the tests ask an isolate (test/edge/limit_isolate.ts) to do, and what it says became of it.
import type { VersionedLimit } from '../../edge/limit/ledger.ts'

export interface Load {
  /** Its number, as text. */
  tenant: string
  limit: VersionedLimit
  perSecond: number
  durationMs: number
  /** Ends earlier when there were so many. */
  requests?: number
  /** To the object and back. */
  delayMs?: number
  /** Every call to the object fails. */
  failing?: boolean
}

export interface Measured {
  asked: number
  admitted: number
  throttled: number
  unreachable: number
  /** To the object. */
  calls: number
  /** By the clock that all isolates of a machine share, from before the first request to after the last answer. */
  startedAtMs: number
  endedAtMs: number
  /** How many asked, and how many were admitted, by the ten milliseconds in which they were. */
  bins: Array<[atMs: number, asked: number, admitted: number]>
  /** Requests that were not answered at once. */
  waits: Array<{ sinceStartMs: number; ms: number; outcome: string }>
}
