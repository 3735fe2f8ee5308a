// The audit trail of a tenant: who did what. It is written in the commit of the work itself, so it can neither tell of
// something that did not happen, nor miss something that did.
import type { Id } from '../../shared/ids.ts'
import type { ProblemCode } from '../../shared/problems.ts'
import { jsonLog, type Log } from '../storage/log_space.ts'
import type { TenantScope } from './region_database.ts'

export const ACTOR_KINDS = [
  'api_key',
  'signed_url',
  'member',
  'invitee',
  'session',
  'admin_link',
  'webhook_source',
  'operator',
  'system',
] as const

export interface Actor {
  kind: (typeof ACTOR_KINDS)[number]
  /** Of a signed URL: the key that signed it. Of an invitee: their subject at their identity provider. */
  id: string
  /** Of a session, and of the link that begins one: the member who is in it, where it is one's. It outlives the session's record. */
  member?: Id<'mem'>
}

export interface AuditEntry {
  /** RFC 3339 */
  at: string
  actor: Actor
  /** `<service>.<operation>`, such as `projects.create`. */
  action: string
  /** What it was done to, where that is one thing: an id, or what its operation calls it. */
  target: string | null
  /** Of an operator's change: the fields that are others since, by name. */
  changed?: string[]
  /** Where the request came from, as the edge saw it. */
  ip: string | null
  requestId: string
  outcome: 'done' | 'refused'
  /** Why it was refused. */
  code?: ProblemCode
  /** How many like it, where refusals are told together. */
  count?: number
}

const auditLog = jsonLog<AuditEntry>('entry')

export const auditOf = (scope: TenantScope): Log<AuditEntry> => scope.log('audit', auditLog)
