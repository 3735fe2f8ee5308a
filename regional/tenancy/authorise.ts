// authorise: what the edge said, read again in the transaction of the work. The reads are not snapshots, so a change of
// credential or status that lands first makes this transaction conflict, and then be refused.
import { timingSafeEqual } from 'node:crypto'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { allows, type Scope } from '../../shared/scopes.ts'
import type { SnapshotVersion } from '../../shared/snapshot.ts'
import { type CredentialRecord, credentialSpace, profileSpace, revokedSpace, statusSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

export type Authorisation =
  /** `epoch` belongs before the versionstamps of this tenant's logs. */
  | { outcome: 'granted'; scopes: ReadonlyArray<string>; epoch: number; present: SnapshotVersion }
  /** The credential is, or was, really this tenant's. */
  | { outcome: 'refused'; problem: Problem; present?: SnapshotVersion }
  /** It lives in another region now. */
  | { outcome: 'moved'; region: string }
  /** Nobody that this tenant ever let in. */
  | { outcome: 'unknown' }

/** What is asked for. */
export interface Wanted {
  scope: Scope
  /** Gives access, or says who may have it: nothing that a signed URL reaches. */
  mintsCredentials?: true | undefined
}

export async function authorise(
  scope: TenantScope,
  principal: TenantPrincipal,
  wanted: Wanted,
  nowMs: number,
): Promise<Authorisation> {
  const credentials = scope.system('credentials', credentialSpace)
  const [status, live, claimHolds] = await Promise.all([
    scope.system('status', statusSpace).get(['status']),
    credentials.get([principal.keyId]),
    namesThisTenant(scope, principal.claimedTenant),
  ])
  // Its credentials are on their way out as well, so nobody's is looked at any more.
  if (status?.status === 'erasing') {
    return { outcome: 'refused', problem: new Problem('tenant_erased', 'The organisation was deleted.') }
  }
  const revoked = live ? undefined : await scope.system('credentials', revokedSpace).get([principal.keyId])
  const record = live ?? revoked
  if (status?.status === 'moved' && status.movedTo !== undefined) {
    return { outcome: 'moved', region: status.movedTo }
  }
  if (
    status === undefined ||
    status.status === 'provisioning' ||
    status.status === 'moved' ||
    record === undefined ||
    (principal.kind === 'api_key' && !sameHash(record, principal.secretHash))
  ) {
    return { outcome: 'unknown' }
  }
  const present = { epoch: status.epoch, version: status.version }
  const refused = (problem: Problem): Authorisation => ({ outcome: 'refused', problem, present })
  if (principal.kind === 'signed_url' && principal.expiresAtMs <= nowMs) {
    return refused(new Problem('signed_url_expired', 'Ask whoever sent you this URL for a new one.'))
  }
  const which = principal.kind === 'api_key' ? 'This API key' : 'The API key that signed this URL'
  if (revoked !== undefined) {
    return refused(new Problem('api_key_revoked', `${which} was revoked. Use another one.`))
  }
  if (record.expiresAt !== null && Date.parse(record.expiresAt) <= nowMs) {
    return refused(new Problem('api_key_expired', `${which} has expired. Use another one.`))
  }
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
  const scopes = scopesOf(principal, record)
  if (!allows(scopes, wanted.scope)) {
    return refused(new Problem('insufficient_scope', `This needs the scope ${wanted.scope}.`))
  }
  if (wanted.mintsCredentials && principal.kind === 'signed_url') {
    return refused(new Problem('insufficient_scope', 'No signed URL reaches what gives access.'))
  }
  return { outcome: 'granted', scopes, epoch: status.epoch, present }
}

/** A signed URL may do the one thing that it is for, as long as its maker still may. */
function scopesOf(principal: TenantPrincipal, { scopes }: CredentialRecord): ReadonlyArray<string> {
  if (principal.kind === 'api_key') return scopes
  return allows(scopes, principal.scope) ? [principal.scope] : []
}

/** Whether `X-Tenant`, if it was sent, names this tenant: by its id or its slug. */
async function namesThisTenant(scope: TenantScope, claimed: string | undefined): Promise<boolean> {
  if (claimed === undefined) return true
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  return profile !== undefined && (profile.id === claimed || profile.slug === claimed)
}

function sameHash(record: CredentialRecord, secretHash: string): boolean {
  const stored = Buffer.from(record.secretHash)
  const sent = Buffer.from(secretHash)
  return stored.length === sent.length && timingSafeEqual(stored, sent)
}
