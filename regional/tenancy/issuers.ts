// Who stands behind what lets people in (admin links, the sessions that come of them, invitations): it holds as long as
// they may give the role that it gives. Read in the transaction of the work, so nothing outlives its maker.
import { type Id, isId } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import { mayGrant, ROLE_SCOPES, ROLES, type Role } from '../../shared/roles.ts'
import type { TenantContext } from './admission.ts'
import { roleByProvider } from './membership.ts'
import {
  credentialSpace,
  type Issuer,
  issuerSpace,
  type MemberRecord,
  memberSpace,
  type ProviderRecord,
  providerSpace,
  sessionSpace,
} from './records.ts'
import type { TenantScope } from './region_database.ts'

export type PresentMember = Pick<MemberRecord, 'email' | 'role'>

/**
 * Whoever stands behind the one who asks: never a session, which would end too soon.
 * @throws {Problem} `insufficient_scope`
 */
export async function issuerOf(
  scope: TenantScope,
  { principal, actor }: Pick<TenantContext, 'principal' | 'actor'>,
): Promise<Issuer> {
  if (principal.kind === 'api_key') return { kind: 'api_key', id: principal.keyId }
  if (principal.kind === 'jwt' && isId('mem', actor.id)) return { kind: 'member', id: actor.id }
  const session =
    principal.kind === 'session'
      ? await scope.system('credentials', sessionSpace).get([principal.sessionId])
      : undefined
  if (session === undefined) throw new Problem('insufficient_scope', 'This credential lets nobody in.')
  return session.member === null ? session.issuer : { kind: 'member', id: session.member }
}

/** Whether the issuer is still there and may still do all that the role may. */
export async function mayStillGive(
  scope: TenantScope,
  issuer: Issuer,
  role: Role,
  nowMs: number,
): Promise<boolean> {
  switch (issuer.kind) {
    case 'operator':
      return true
    case 'member': {
      const own = await roleOfMember(scope, issuer.id)
      return own !== undefined && mayGrant(ROLE_SCOPES[own], role)
    }
    case 'api_key': {
      const key = await scope.system('credentials', credentialSpace).get([issuer.id])
      const holds = key !== undefined && (key.expiresAt === null || Date.parse(key.expiresAt) > nowMs)
      return holds && mayGrant(key.scopes, role)
    }
  }
}

/**
 * What a member may be without a token of theirs at hand. Of one whom a provider let in that is what they were when they
 * last changed something, but never more than the provider's rules make now of what it said of them then.
 * @returns undefined for nobody, and where the provider is gone or does not let them in any more
 */
export const roleOfMember = async (scope: TenantScope, id: Id<'mem'>): Promise<Role | undefined> =>
  (await presentMember(scope, id))?.role

/** A member as {@link roleOfMember} has them. */
export async function presentMember(scope: TenantScope, id: Id<'mem'>): Promise<PresentMember | undefined> {
  const member = await scope.service('members').space(memberSpace).get([id])
  if (member === undefined || member.decidedBy === 'organisation') return member
  const provider = await providerOf(scope, member)
  const most = provider && member.vouched && roleByProvider(provider, member.vouched)
  return most && { email: member.email, role: lesser(most, member.role) }
}

/** Why {@link roleOfMember} gives none, for whoever is told that they are let in no more. */
export async function whyNoRole(scope: TenantScope, id: Id<'mem'>): Promise<string> {
  const member = await scope.service('members').space(memberSpace).get([id])
  if (member === undefined) return 'You are no member of the organisation any more.'
  return (await providerOf(scope, member)) === undefined
    ? 'The identity provider that let you in is gone.'
    : 'The rules for your identity provider do not let you in any more.'
}

export const lesser = (a: Role, b: Role): Role => (ROLES.indexOf(a) > ROLES.indexOf(b) ? a : b)

/** The one that knows them, if it is the organisation's still. */
export async function providerOf(
  scope: TenantScope,
  { identity }: Pick<MemberRecord, 'identity'>,
): Promise<ProviderRecord | undefined> {
  const providers = scope.service('identity-providers')
  const id = identity === null ? undefined : await providers.space(issuerSpace).get([identity.issuer])
  return id && providers.space(providerSpace).get([id])
}
