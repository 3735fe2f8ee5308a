// authorise: what the edge said, read again in the transaction of the work. The reads are not snapshots, so a change of
// credential or status that lands first makes this transaction conflict, and then be refused.
import { timingSafeEqual } from 'node:crypto'
import { CLOCK_TOLERANCE_SECONDS } from '../../shared/assertion.ts'
import type {
  ApiKeyPrincipal,
  JwtPrincipal,
  SignedUrlPrincipal,
  TenantPrincipal,
} from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { ROLE_SCOPES, type Role } from '../../shared/roles.ts'
import { allows, type Scope } from '../../shared/scopes.ts'
import type { SnapshotVersion } from '../../shared/snapshot.ts'
import type { Actor } from './audit.ts'
import { ofInvitation } from './invitations.ts'
import { type ChangedWord, membershipOf, notAMember } from './membership.ts'
import {
  type CredentialRecord,
  credentialSpace,
  type LogStanding,
  profileSpace,
  revokedSpace,
  statusSpace,
} from './records.ts'
import type { TenantScope } from './region_database.ts'
import { ofAdminLink, ofSession } from './sessions.ts'
import { ofSource } from './webhook_sources.ts'

export type Authorisation =
  | {
      outcome: 'granted'
      scopes: ReadonlyArray<string>
      /** None yet for whoever is to become a member first. */
      actor: Actor | undefined
      newcomer: Role | undefined
      changed: ChangedWord | undefined
      logs: LogStanding
      present: SnapshotVersion
    }
  /** The credential is, or was, really this tenant's. */
  | { outcome: 'refused'; problem: Problem; actor?: Actor; present?: SnapshotVersion }
  /** It lives in another region now. */
  | { outcome: 'moved'; region: string }
  /** The edge knows the tenant's identity providers as they were before. */
  | { outcome: 'stale_providers' }
  /** Nobody that this tenant ever let in. */
  | { outcome: 'unknown'; problem: Problem }

/** What a credential alone comes to, whatever the tenant's status is. */
export type Standing =
  | {
      outcome: 'holds'
      scopes: ReadonlyArray<string>
      actor: Actor | undefined
      newcomer?: Role
      changed?: ChangedWord
    }
  | { outcome: 'refused'; problem: Problem; actor: Actor }
  | { outcome: 'stale_providers' }
  | { outcome: 'unknown'; problem: Problem }

/** What is asked for. */
export interface Wanted {
  scope: Scope
  /** Gives access, or says who may have it: nothing that a signed URL reaches. */
  mintsCredentials?: true | undefined
  /** For people who are no members yet: a token of one of the tenant's providers is enough. */
  invitees?: true | undefined
}

export async function authorise(
  scope: TenantScope,
  principal: TenantPrincipal,
  wanted: Wanted,
  nowMs: number,
): Promise<Authorisation> {
  const [status, standing, claimHolds] = await Promise.all([
    scope.system('status', statusSpace).get(['status']),
    standingOf(scope, principal, wanted, nowMs),
    namesThisTenant(scope, principal.claimedTenant),
  ])
  // Its credentials are on their way out as well, so nobody's is looked at any more.
  if (status?.status === 'erasing') {
    return { outcome: 'refused', problem: new Problem('tenant_erased', 'The organisation was deleted.') }
  }
  if (status?.status === 'moved' && status.movedTo !== undefined) {
    return { outcome: 'moved', region: status.movedTo }
  }
  if (status === undefined || status.status === 'provisioning' || status.status === 'moved') {
    return { outcome: 'unknown', problem: invalid() }
  }
  if (standing.outcome === 'unknown') return standing
  const present = { epoch: status.epoch, version: status.version }
  const actor = standing.outcome === 'stale_providers' ? undefined : standing.actor
  const refused = (problem: Problem): Authorisation => ({
    outcome: 'refused',
    problem,
    present,
    ...(actor && { actor }),
  })
  if (standing.outcome === 'refused') return refused(standing.problem)
  if (!claimHolds) {
    return refused(
      new Problem('tenant_mismatch', 'The credential is not one of the organisation in X-Tenant.'),
    )
  }
  if (status.status === 'suspended') {
    return refused(
      new Problem('tenant_suspended', 'The organisation is suspended. Ask the platform’s operator.'),
    )
  }
  if (standing.outcome === 'stale_providers') return standing
  const { scopes, newcomer, changed } = standing
  if (!allows(scopes, wanted.scope) && !(wanted.invitees && principal.kind === 'jwt')) {
    return refused(new Problem('insufficient_scope', `This needs the scope ${wanted.scope}.`))
  }
  if (wanted.mintsCredentials && principal.kind === 'signed_url') {
    return refused(new Problem('insufficient_scope', 'No signed URL reaches what gives access.'))
  }
  return { outcome: 'granted', scopes, actor, newcomer, changed, logs: status, present }
}

function standingOf(
  scope: TenantScope,
  principal: TenantPrincipal,
  { invitees }: Wanted,
  nowMs: number,
): Promise<Standing> {
  switch (principal.kind) {
    case 'jwt':
      return invitees ? ofInvitee(scope, principal, nowMs) : ofPerson(scope, principal, nowMs)
    case 'session':
      return ofSession(scope, principal, nowMs)
    case 'webhook_source':
      return ofSource(scope, principal)
    case 'admin_link':
      return ofAdminLink(scope, principal, nowMs)
    case 'invitation':
      return ofInvitation(scope, principal, nowMs)
    default:
      return ofKey(scope, principal, nowMs)
  }
}

export const invalid = (): Problem => new Problem('credential_invalid', 'The credential is not one of ours.')

/** Of a key, or of the key behind a signed URL. */
async function ofKey(
  scope: TenantScope,
  principal: ApiKeyPrincipal | SignedUrlPrincipal,
  nowMs: number,
): Promise<Standing> {
  const live = await scope.system('credentials', credentialSpace).get([principal.keyId])
  const revoked = live ? undefined : await scope.system('credentials', revokedSpace).get([principal.keyId])
  const record = live ?? revoked
  if (record === undefined || (principal.kind === 'api_key' && !sameHash(record, principal.secretHash))) {
    return { outcome: 'unknown', problem: invalid() }
  }
  const actor: Actor = { kind: principal.kind, id: principal.keyId }
  const refused = (problem: Problem): Standing => ({ outcome: 'refused', problem, actor })
  if (principal.kind === 'signed_url' && principal.expiresAtMs <= nowMs) {
    return refused(new Problem('signed_url_expired', 'Ask whoever sent you this URL for a new one.'))
  }
  const which = principal.kind === 'api_key' ? 'This API key' : 'The API key that signed this URL'
  if (revoked !== undefined && revoked.revokedAt !== null) {
    return refused(new Problem('api_key_revoked', `${which} was revoked. Use another one.`))
  }
  const hasExpired = record.expiresAt !== null && Date.parse(record.expiresAt) <= nowMs
  if (revoked !== undefined || hasExpired) {
    return refused(new Problem('api_key_expired', `${which} has expired. Use another one.`))
  }
  return { outcome: 'holds', scopes: scopesOf(principal, record), actor }
}

/** A signed URL may do the one thing that it is for, as long as its maker still may. */
function scopesOf(
  principal: ApiKeyPrincipal | SignedUrlPrincipal,
  { scopes }: CredentialRecord,
): ReadonlyArray<string> {
  if (principal.kind === 'api_key') return scopes
  return allows(scopes, principal.scope) ? [principal.scope] : []
}

/** Of somebody whom one of the tenant's providers knows, member or not. They may do the one thing that takes them. */
async function ofInvitee(scope: TenantScope, principal: JwtPrincipal, nowMs: number): Promise<Standing> {
  const standing = await ofPerson(scope, principal, nowMs)
  const isPerson =
    standing.outcome === 'holds' ||
    (standing.outcome !== 'stale_providers' && standing.problem.code === 'not_a_member')
  if (!isPerson) return standing
  const actor = 'actor' in standing ? standing.actor : undefined
  return { outcome: 'holds', scopes: [], actor: actor ?? { kind: 'invitee', id: principal.subject } }
}

async function ofPerson(scope: TenantScope, principal: JwtPrincipal, nowMs: number): Promise<Standing> {
  if (principal.expiresAtMs + CLOCK_TOLERANCE_SECONDS * 1_000 <= nowMs) {
    return { outcome: 'unknown', problem: invalid() }
  }
  const membership = await membershipOf(scope, principal, nowMs)
  switch (membership.outcome) {
    case 'stale':
      return { outcome: 'stale_providers' }
    case 'no_provider':
      return { outcome: 'unknown', problem: invalid() }
    case 'stranger':
      return { outcome: 'unknown', problem: notAMember() }
    case 'newcomer': {
      const { role } = membership
      return { outcome: 'holds', scopes: ROLE_SCOPES[role], actor: undefined, newcomer: role }
    }
    case 'refused': {
      const { problem, member } = membership
      return { outcome: 'refused', problem, actor: { kind: 'member', id: member.id } }
    }
    case 'member': {
      const { member, role, changed } = membership
      const actor: Actor = { kind: 'member', id: member.id }
      return {
        outcome: 'holds',
        scopes: ROLE_SCOPES[role],
        actor,
        ...(changed && { changed }),
      }
    }
  }
}

/** Whether `X-Tenant`, if it was sent, names this tenant: by its id or its slug. */
async function namesThisTenant(scope: TenantScope, claimed: string | undefined): Promise<boolean> {
  if (claimed === undefined) return true
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  return profile !== undefined && (profile.id === claimed || profile.slug === claimed)
}

export const sameHash = (record: { secretHash: string }, secretHash: string): boolean =>
  sameText(record.secretHash, secretHash)

/** In constant time, but for the lengths. */
export function sameText(kept: string, sent: string): boolean {
  const [a, b] = [Buffer.from(kept), Buffer.from(sent)]
  return a.length === b.length && timingSafeEqual(a, b)
}
