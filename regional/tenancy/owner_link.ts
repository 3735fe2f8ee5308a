// Links into the console for owners who have no other way in: the first one's; a new one for who signed up, since nobody
// else may be there to make one, and a letter has confirmed that address; and one that the operator has made, for whoever
// lost the first.
import { newId } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { notFound } from '../operation.ts'
import { auditOf } from './audit.ts'
import { presentEra } from './ended.ts'
import { emitting } from './events.ts'
import { newAttempt } from './idempotency.ts'
import { providerOf } from './issuers.ts'
import type { LifecycleDependencies, Maker } from './lifecycle.ts'
import type { LinkAdmin } from './mint.ts'
import {
  type AskedChange,
  changeOnce,
  type OperatorChange,
  operatorActor,
  operatorEntry,
} from './operator_request.ts'
import {
  type AdminLinkRecord,
  adminLinkSpace,
  type MemberRecord,
  memberSpace,
  ownerSpace,
  profileSpace,
  type StatusRecord,
  signedUpSpace,
  statusSpace,
} from './records.ts'
import type { TenantScope } from './region_database.ts'

/** So many are looked at together. */
const OWNERS = 100
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

/** As the operator is told it. */
export interface MadeLink {
  id: string
  url: string
  expiresAt: string
  /** The owner's; null for one who is known by their identity alone. */
  email: string | null
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
 * @returns undefined where the address is not theirs, they have an identity at a provider of the organisation's, are owner no more, or nobody
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
      const { url } = await makeLink(scope, standing, { linkAdmin, number, owner, seconds, by, nowMs })
      return { url, email: owner.email }
    })
  })
}

/**
 * A new link for an owner, as an operator asks for it: the one with this address, or else whoever has been here longest.
 * @throws {Problem} `not_found`; `conflict` where nobody is let in; `validation_failed` where no owner has that address
 */
export function linkByOperator(
  { database, linkAdmin, sealer, now }: LifecycleDependencies,
  number: TenantNumber,
  id: string,
  { email, seconds }: { email?: string | undefined; seconds: number },
  by: Maker & OperatorChange,
): Promise<MadeLink & { replayed: boolean }> {
  const { operatorId, requestId, idempotencyKey } = by
  const asked: AskedChange = {
    ...{ tenant: number, by: { operatorId, requestId, idempotencyKey }, route: 'operators-link' },
    ...{ content: { email: email ?? null, seconds }, attempt: newAttempt() },
  }
  return database.tenant(number, async (scope) => {
    const [standing, profile] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      scope.system('profile', profileSpace).get(['profile']),
    ])
    if (profile?.id !== id || standing === undefined) throw notFound()
    if (standing.status !== 'active') {
      throw new Problem('conflict', `The organisation is ${standing.status}: nobody is let in.`)
    }
    const nowMs = now()
    return changeOnce(scope, asked, sealer, nowMs, async () => {
      const owner = await ownerOf(scope, email)
      if (owner === undefined) {
        throw new Problem('validation_failed', 'No owner of the organisation has this address.', {
          errors: [{ pointer: '/email', detail: 'is no owner’s address' }],
        })
      }
      const { url, record } = await makeLink(scope, standing, {
        linkAdmin,
        number,
        owner,
        seconds,
        by,
        nowMs,
      })
      const expiresAt = new Date(record.expiresAtMs).toISOString()
      return { id: record.id, url, expiresAt, email: owner.email }
    })
  })
}

interface Making {
  linkAdmin: LinkAdmin
  number: TenantNumber
  owner: Pick<MemberRecord, 'id' | 'email'>
  seconds: number
  by: Maker
  nowMs: number
}

async function makeLink(
  scope: TenantScope,
  standing: StatusRecord,
  { linkAdmin, number, owner, seconds, by, nowMs }: Making,
): Promise<{ url: string; record: AdminLinkRecord }> {
  const made = await newOwnerLink(linkAdmin, number, owner, seconds, by, nowMs)
  const { id } = made.record
  await keepLink(scope, made.record, nowMs)
  auditOf(scope).append(standing.epoch, operatorEntry('admin-links.create', id, by, nowMs))
  const emit = emitting(scope, { standing, nowMs, actor: operatorActor(by), requestId: by.requestId })
  emit('admin_link.created', id)
  return made
}

/** Those whom the organisation made owners, by when they came. */
async function ownerOf(scope: TenantScope, email: string | undefined): Promise<MemberRecord | undefined> {
  const members = scope.service('members')
  const isWanted = (owner: MemberRecord) =>
    email === undefined || owner.email?.toLowerCase() === email.toLowerCase()
  let after: [owner: string] | undefined
  for (;;) {
    const { entries, more } = await members.space(ownerSpace).page({ limit: OWNERS, after })
    const owners = await Promise.all(entries.map(([key]) => members.space(memberSpace).get(key)))
    const found = owners.find((owner) => owner !== undefined && isWanted(owner))
    if (found !== undefined || !more) return found
    after = entries.at(-1)?.[0]
  }
}

async function signedUpOwner(
  scope: TenantScope,
  email: string,
): Promise<{ id: MemberRecord['id']; email: string } | undefined> {
  const first = await scope.system('profile', signedUpSpace).get(['signed-up'])
  const member = first && (await scope.service('members').space(memberSpace).get([first.member]))
  if (member === undefined || member.email?.toLowerCase() !== email.toLowerCase()) return undefined
  const { id, role } = member
  // An identity at a provider that is gone lets nobody in.
  const isShutOut = (await providerOf(scope, member)) === undefined
  return role === 'owner' && isShutOut ? { id, email: member.email } : undefined
}
