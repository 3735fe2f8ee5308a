// Links into the console for owners who have no other way in: the first one's, and a new one for who signed up, since
// nobody else may be there to make one. A letter has confirmed that address, so it is what lets them come back.
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { auditOf } from './audit.ts'
import { presentEra } from './ended.ts'
import { emitting } from './events.ts'
import { newAttempt } from './idempotency.ts'
import type { LifecycleDependencies, Maker } from './lifecycle.ts'
import type { LinkAdmin } from './mint.ts'
import { changeOnce, operatorActor, operatorEntry } from './operator_request.ts'
import {
  type AdminLinkRecord,
  adminLinkSpace,
  type MemberRecord,
  memberSpace,
  signedUpSpace,
  statusSpace,
} from './records.ts'
import type { TenantScope } from './region_database.ts'

/** How long a link is still told as used, revoked or expired. */
const TOLD_MS = 24 * 60 * 60 * 1000

export interface AskedLink {
  /** Whoever asks says that it is theirs. */
  email: string
  /** How long it holds. */
  seconds: number
}

export interface OwnerLink {
  url: string
  /** Of the owner, as it was confirmed. */
  email: string
}

/** It dies with nobody but the owner's own record. To be kept by {@link keepLink}. */
export async function newOwnerLink(
  linkAdmin: LinkAdmin,
  number: TenantNumber,
  { id: member, email }: Pick<MemberRecord, 'id' | 'email'>,
  seconds: number,
  { operatorId, publicOrigin }: Maker,
  nowMs: number,
): Promise<{ url: string; record: AdminLinkRecord }> {
  const id = newId('lnk', nowMs)
  const expiresAtMs = (Math.floor(nowMs / 1000) + seconds) * 1000
  const { url, secretHash } = await linkAdmin({ tenant: number, linkId: id, expiresAtMs }, publicOrigin)
  const issuer = { kind: 'operator' as const, id: operatorId }
  const createdAt = new Date(nowMs).toISOString()
  const common = { role: 'owner' as const, returnPath: '/', madeIn: null, used: null, revokedAt: null }
  return { url, record: { id, secretHash, email, member, issuer, createdAt, expiresAtMs, ...common } }
}

export async function keepLink(scope: TenantScope, link: AdminLinkRecord, nowMs: number): Promise<void> {
  const era = await presentEra(scope.service('sessions'))
  scope.system('credentials', adminLinkSpace).set([link.id], { ...link, era })
  await expireAt(scope, link.expiresAtMs + TOLD_MS, 'admin-link', link.id, nowMs)
}

/**
 * A new link for who signed up. The same request again is answered with the same link.
 * @returns undefined where the address is not theirs, they have an identity to sign in with, are owner no more, or nobody
 *   is let in
 */
export function linkForSignedUp(
  { database, linkAdmin, sealer, now }: LifecycleDependencies,
  number: TenantNumber,
  { email, seconds }: AskedLink,
  by: Maker,
): Promise<OwnerLink | undefined> {
  const { operatorId, requestId } = by
  const asked = {
    ...{ tenant: number, by: { operatorId, requestId }, route: 'owner-link' },
    ...{ content: { email, seconds }, attempt: newAttempt() },
  }
  return database.tenant<OwnerLink | undefined>(number, async (scope) => {
    const [standing, owner] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      signedUpOwner(scope, email),
    ])
    if (standing?.status !== 'active' || owner === undefined) return { value: undefined, commit: false }
    const nowMs = now()
    return changeOnce(scope, asked, sealer, nowMs, async () => {
      const { url, record } = await newOwnerLink(linkAdmin, number, owner, seconds, by, nowMs)
      await keepLink(scope, record, nowMs)
      auditOf(scope).append(standing.epoch, operatorEntry('admin-links.create', record.id, by, nowMs))
      emitting(scope, { standing, nowMs, actor: operatorActor(by), requestId })(
        'admin_link.created',
        record.id,
      )
      return { url, email: owner.email }
    })
  })
}

async function signedUpOwner(
  scope: TenantScope,
  email: string,
): Promise<{ id: MemberRecord['id']; email: string } | undefined> {
  const first = await scope.system('profile', signedUpSpace).get(['signed-up'])
  const member = first && (await scope.service('members').space(memberSpace).get([first.member]))
  if (member === undefined || member.email?.toLowerCase() !== email.toLowerCase()) return undefined
  const { id, role, identity } = member
  return role === 'owner' && identity === null ? { id, email: member.email } : undefined
}
