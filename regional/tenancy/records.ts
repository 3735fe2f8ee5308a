// The records that a tenant's system subspaces hold: what the platform itself knows of a tenant.

import { createHash } from 'node:crypto'
import type { Id } from '../../shared/ids.ts'
import { type LimitOverrides, limitsOf, type PlanLimits, type PlanName } from '../../shared/plans.ts'
import type { JwtPrincipal } from '../../shared/principal.ts'
import type { Role } from '../../shared/roles.ts'
import type { TenantStatus } from '../../shared/tenant.ts'
import type { IsolationStage } from '../admission/noisy.ts'
import { jsonSpace } from '../storage/space.ts'

/** `provisioning`: written, but its slug is not yet its own; nobody is let in. */
export interface StatusRecord {
  /** `moved`: a tombstone; the tenant lives in the region `movedTo`, and nothing but this key is left of it here. */
  status: 'provisioning' | TenantStatus | 'moved'
  /** Grows whenever the tenant's data comes to another cluster: it stands before the versionstamps of its logs. */
  epoch: number
  /** Of what edges keep of the tenant (shared/snapshot.ts): grows when plan, limits or region change. */
  version: number
  movedTo?: string
  /** There are webhook endpoints: whoever writes an event has them served. */
  webhooks?: boolean
  /** How often a counted limit was lowered: what shards of a quota were allowed before that, they are allowed no more. */
  lowered?: number
}

/** What whoever writes to a tenant's logs has to know of it. */
export type LogStanding = Pick<StatusRecord, 'epoch' | 'webhooks'>

/** One small key, read by every transaction and written rarely, so that a change of status stops what is in flight. */
export const statusSpace = jsonSpace<['status'], StatusRecord>('status')

/** Of a tenant that asks a busy region for far more than its share (docs/fairness.md). */
export interface IsolationRecord {
  /** The strongest of the leases'. */
  stage: IsolationStage
  sinceMs: number
  /** It ends then, unless it is renewed. */
  untilMs: number
  /** By process of the region, each of which judges by itself. Records of before have none. */
  leases?: Readonly<Record<string, IsolationLease>>
}

export interface IsolationLease {
  stage: IsolationStage
  untilMs: number
  /** Units a second that the process was asked for, and that were the tenant's share, when that was written. */
  asked: number
  fair: number
}

export const isolationSpace = jsonSpace<['isolation'], IsolationRecord>('isolation')

/** How a tenant's own people see it. */
export interface Customisation {
  displayName: string | null
  /** https, or an image in itself (`data:`). */
  logoUrl: string | null
  /** `#rrggbb` */
  accentColor: string | null
}

export const PLAIN: Customisation = { displayName: null, logoUrl: null, accentColor: null }

export interface ProfileRecord {
  id: Id<'ten'>
  slug: string
  name: string
  plan: PlanName
  region: string
  /** What an operator gave it instead of its plan's limits. */
  overrides?: LimitOverrides
  customisation?: Customisation
  /** Of whose pages may read answers (CORS). */
  corsOrigins?: ReadonlyArray<string>
  createdAt: string
  updatedAt: string
  /** How often it has been changed, its status included. */
  version: number
}

export const profileSpace = jsonSpace<['profile'], ProfileRecord>('profile')

/** Who made it by signing up, beside the profile: the one member whose address a letter has confirmed. */
export const signedUpSpace = jsonSpace<['signed-up'], { member: Id<'mem'> }>('signed-up')

/** As much of it as any service may know. */
export type Organisation = Pick<
  ProfileRecord,
  'id' | 'slug' | 'name' | 'plan' | 'overrides' | 'customisation'
>

/** A tenant as its people and the operator are shown it. */
export type ShownTenant = Omit<ProfileRecord, 'version' | 'customisation' | 'overrides' | 'corsOrigins'> & {
  status: TenantStatus
  /** The plan's, or what the operator gave it instead. */
  limits: PlanLimits
  corsOrigins: ReadonlyArray<string>
  customisation: Customisation
}

export const shownTenant = (
  { version: _, overrides, customisation = PLAIN, corsOrigins = [], ...profile }: ProfileRecord,
  status: TenantStatus,
): ShownTenant => ({
  ...profile,
  status,
  limits: limitsOf(profile.plan, overrides),
  corsOrigins,
  customisation,
})

export interface CredentialRecord {
  id: Id<'key'>
  name: string
  scopes: ReadonlyArray<string>
  /** SHA-256 of the key in base64url. The key itself is never kept. */
  secretHash: string
  createdAt: string
  expiresAt: string | null
  /** Where a rotation has brought its end forward: what it was before. Its successors end then. */
  expiresAtFirst?: string | null
  /** It goes on without them. Keys of before have none. */
  createdBy?: Issuer | null
}

/** Live keys: what a request's key is checked against. */
export const credentialSpace = jsonSpace<[keyId: string], CredentialRecord>('key')

/** Revoked keys stay for a while, so that they are refused as revoked and not as unknown; and so do those that have expired. */
export interface EndedKey extends CredentialRecord {
  /** Null where its time was over. */
  revokedAt: string | null
}

export const revokedSpace = jsonSpace<[keyId: string], EndedKey>('revoked')

/**
 * Who stands behind an admin link, the sessions that come of it, or an invitation: as long as they may give the role, it holds.
 * And who made an API key, which is the organisation's and holds by itself.
 */
export type Issuer =
  | { kind: 'api_key'; id: Id<'key'> }
  | { kind: 'member'; id: Id<'mem'> }
  /** Asked for the tenant to be made. */
  | { kind: 'operator'; id: string }

export interface AdminLinkRecord {
  id: Id<'lnk'>
  /** SHA-256 of the link's token in base64url. */
  secretHash: string
  role: Role
  /** To show. It opens nothing. */
  email: string | null
  /** Whose session the link begins, where that is known. */
  member: Id<'mem'> | null
  /** Where it leads, below the tenant's console. */
  returnPath: string
  issuer: Issuer
  /** The session that made it, if one did: ended, it takes its open links with it. */
  madeIn: Id<'ses'> | null
  /** As in ended.ts. */
  era?: number
  createdAt: string
  expiresAtMs: number
  used: { at: string; session: Id<'ses'> } | null
  revokedAt: string | null
}

/** In the subspace of credentials, like the two below. A link stays for a day after its time, to be told as used or revoked. */
export const adminLinkSpace = jsonSpace<[linkId: string], AdminLinkRecord>('link')

export interface SessionRecord {
  id: Id<'ses'>
  secretHash: string
  /** Null after a sign-in at an identity provider. */
  link: Id<'lnk'> | null
  role: Role
  email: string | null
  member: Id<'mem'> | null
  issuer: Issuer
  /** As in ended.ts. */
  era?: number
  createdAt: string
  expiresAtMs: number
  /** Of the browser that began it, as it said. */
  userAgent: string | null
  ip: string | null
}

export const sessionSpace = jsonSpace<[sessionId: string], SessionRecord>('session')

/** When a session or API key was last used, to the minute; apart from it, so that using it changes nothing that it is checked by. */
export const seenSpace = jsonSpace<[id: string], number>('seen')

/** Who a person is: never an e-mail address, which issuers give out and take back. */
export interface PersonIdentity {
  issuer: string
  subject: string
}

/** What of a token an identity provider's rules look at. The values are in one order, so that the same is the same. */
export type Vouched = Pick<JwtPrincipal, 'email' | 'roles'> & {
  /** When the newest token that was used to sign in or to change something was issued, where one said so. */
  saidMs?: number
}

export interface MemberRecord {
  id: Id<'mem'>
  /** To show, and to write to. It opens nothing. */
  email: string | null
  role: Role
  /**
   * `provider`: let in by an identity provider's word, so its rules hold for each of their tokens, and `role` is what
   * the newest one came with that joined or changed something. `organisation`: put in, or given a role, by the organisation, so this record alone decides.
   */
  decidedBy: 'provider' | 'organisation'
  /**
   * Where the provider decides, what `role` came of: its rules of now are held against it without a token at hand, and a
   * token that was issued before it changes nothing of it. Records of before have none, until their next sign-in or change.
   */
  vouched?: Vouched
  /** None until someone says who it is. */
  identity: PersonIdentity | null
  createdAt: string
  updatedAt: string
  version: number
}

/** In the subspace of the service `members`, like the two below. */
export const memberSpace = jsonSpace<[memberId: string], MemberRecord>('member')

/** Whose an identity is. Who was removed stays known as such, so that no provider lets them in again by itself. */
export const identitySpace = jsonSpace<[digest: Buffer], { member: Id<'mem'> | null }>('identity')

/** Issuers are URLs, so no line feed is part of one. */
export const identityKey = ({ issuer, subject }: PersonIdentity): [digest: Buffer] => [
  createHash('sha256').update(`${issuer}\n${subject}`).digest(),
]

/** The owners by the organisation's own word: whoever takes one away reads that another is left. */
export const ownerSpace = jsonSpace<[memberId: string], 1>('owner')

export interface InvitationRecord {
  id: Id<'inv'>
  /** SHA-256 of the token in base64url. */
  secretHash: string
  /** Where it is sent. It opens nothing. */
  email: string
  role: Role
  invitedBy: Issuer
  /** `link`: whoever invites passes it on. */
  delivery: 'link' | 'sending' | 'sent' | 'refused' | 'not_sent'
  createdAt: string
  expiresAtMs: number
  /** `session`: the one that it was accepted for, without an identity. */
  accepted: { at: string; member: Id<'mem'>; session?: Id<'ses'> } | null
  revokedAt: string | null
}

/** In the subspace of the service `members`. One that has ended stays for a week, to be told as such. */
export const invitationSpace = jsonSpace<[invitationId: string], InvitationRecord>('invitation')

export interface ProviderRecord {
  id: Id<'idp'>
  name: string
  issuer: string
  audience: string
  roleClaim: string | null
  roleMapping: Readonly<Record<string, Role>>
  defaultRole: 'viewer' | null
  allowedEmailDomains: ReadonlyArray<string> | null
  createMembers: boolean
  /** As which client its people sign in to the console; without one they can't. */
  clientId?: string | null
  sealedClientSecret?: string | null
  createdAt: string
  updatedAt: string
  version: number
}

/** In the subspace of the service `identity-providers`, like the one below. */
export const providerSpace = jsonSpace<[providerId: string], ProviderRecord>('provider')

/** An issuer has one provider at most, so that a token has one reading. */
export const issuerSpace = jsonSpace<[issuer: string], Id<'idp'>>('issuer')

/** What the tenant's making answered, sealed, for as long as an operator may repeat the request; `request` tells it from others. */
export const provisionedSpace = jsonSpace<
  ['answer'],
  { sealed: string; expiresAt: number; request?: string }
>('provisioned')
