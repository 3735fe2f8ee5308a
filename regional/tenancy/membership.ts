// Membership: whether the person whom a token names may act for the tenant, and as what. The edge has checked the
// token; everything that the tenant itself decides is read here, in the transaction of the work.
import { isDeepStrictEqual } from 'node:util'
import type { Id } from '../../shared/ids.ts'
import type { JwtPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { highestRole, type Role } from '../../shared/roles.ts'
import {
  identityKey,
  identitySpace,
  type MemberRecord,
  memberSpace,
  type ProviderRecord,
  providerSpace,
  type Vouched,
} from './records.ts'
import type { TenantScope } from './region_database.ts'

export type Membership =
  | { outcome: 'member'; member: MemberRecord; role: Role; changed?: ChangedWord }
  /** Nobody yet, but the provider's rules make them a member. */
  | { outcome: 'newcomer'; role: Role }
  | { outcome: 'refused'; problem: Problem; member: MemberRecord }
  /** A genuine token, of nobody that the tenant lets in. */
  | { outcome: 'stranger' }
  /** The provider is not, or no longer, one of the tenant's, or not for this audience. */
  | { outcome: 'no_provider' }
  /** The edge read the token by what the provider's record said before, and it is by the token that they are what they are. */
  | { outcome: 'stale' }

/** What their provider says of a member now, where their record says something else. */
export interface ChangedWord {
  member: Id<'mem'>
  role: Role
  vouched: Vouched
}

export async function membershipOf(
  scope: TenantScope,
  principal: JwtPrincipal,
  nowMs: number,
): Promise<Membership> {
  const [provider, holder] = await Promise.all([
    scope.service('identity-providers').space(providerSpace).get([principal.providerId]),
    holderOf(scope, principal),
  ])
  if (provider?.issuer !== principal.issuer || provider.audience !== principal.audience) {
    return { outcome: 'no_provider' }
  }
  if (holder === 'removed') return { outcome: 'stranger' }
  if (holder?.decidedBy === 'organisation') return { outcome: 'member', member: holder, role: holder.role }
  if ((provider.roleClaim ?? undefined) !== principal.roles?.claim) return { outcome: 'stale' }
  const role = roleByProvider(provider, principal)
  if (holder === undefined) {
    return role !== undefined && provider.createMembers
      ? { outcome: 'newcomer', role }
      : { outcome: 'stranger' }
  }
  if (role === undefined) return { outcome: 'refused', member: holder, problem: notAMember() }
  const vouched = vouchedIn(principal, nowMs)
  // What was said since holds for all that they have begun: an older token, as long as it lives, brings none of it back.
  const isOutdated = (vouched.saidMs ?? 0) < (holder.vouched?.saidMs ?? 0)
  const isKnown = role === holder.role && isDeepStrictEqual(vouched, holder.vouched)
  return {
    outcome: 'member',
    member: holder,
    role,
    ...(!isOutdated && !isKnown && { changed: { member: holder.id, role, vouched } }),
  }
}

/** A provider whose clock is fast says nothing in the future, where nothing could be newer. */
export const vouchedIn = ({ email, roles, iat }: JwtPrincipal, nowMs: number): Vouched => ({
  ...(typeof iat === 'number' && { saidMs: Math.min(iat * 1_000, nowMs) }),
  ...(email !== undefined && { email }),
  ...(roles !== undefined && { roles: { claim: roles.claim, values: [...roles.values].sort() } }),
})

export const notAMember = (): Problem =>
  new Problem('not_a_member', 'You are not a member of this organisation, or not any more.')

async function holderOf(
  scope: TenantScope,
  identity: JwtPrincipal,
): Promise<MemberRecord | 'removed' | undefined> {
  const members = scope.service('members')
  const holder = await members.space(identitySpace).get(identityKey(identity))
  if (holder === undefined) return undefined
  const member = holder.member === null ? undefined : await members.space(memberSpace).get([holder.member])
  return member ?? 'removed'
}

/** What the provider's rules make of someone; undefined when they don't let them in. */
export function roleByProvider(
  { roleClaim, roleMapping, defaultRole, allowedEmailDomains }: ProviderRecord,
  { email, roles }: Vouched,
): Role | undefined {
  if (allowedEmailDomains !== null) {
    const [, domain] = /@([^@]+)$/.exec(email?.toLowerCase() ?? '') ?? []
    if (domain === undefined || !allowedEmailDomains.includes(domain)) return undefined
  }
  // Of another claim than the one that is mapped now, they say nothing.
  const values = roles?.claim === roleClaim ? roles?.values : undefined
  const mapped = (values ?? []).flatMap((value) =>
    Object.hasOwn(roleMapping, value) ? (roleMapping[value] ?? []) : [],
  )
  return highestRole(mapped) ?? defaultRole ?? undefined
}
