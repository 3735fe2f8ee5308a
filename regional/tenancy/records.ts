// The records that a tenant's system subspaces hold: what the platform itself knows of a tenant.

import { createHash } from 'node:crypto'
import type { Id } from '../../shared/ids.ts'
import type { PlanName } from '../../shared/plans.ts'
import type { Role } from '../../shared/roles.ts'
import type { TenantStatus } from '../../shared/tenant.ts'
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
}

/** One small key, read by every transaction and written rarely, so that a change of status stops what is in flight. */
export const statusSpace = jsonSpace<['status'], StatusRecord>('status')

export interface ProfileRecord {
  id: Id<'ten'>
  slug: string
  name: string
  plan: PlanName
  region: string
  createdAt: string
  updatedAt: string
  /** How often it has been changed, its status included. */
  version: number
}

export const profileSpace = jsonSpace<['profile'], ProfileRecord>('profile')

/** A tenant as its people and the operator are shown it. */
export type ShownTenant = Omit<ProfileRecord, 'version'> & { status: TenantStatus }

export const shownTenant = (
  { version: _, ...profile }: ProfileRecord,
  status: TenantStatus,
): ShownTenant => ({
  ...profile,
  status,
})

export interface CredentialRecord {
  id: Id<'key'>
  name: string
  scopes: ReadonlyArray<string>
  /** SHA-256 of the key in base64url. The key itself is never kept. */
  secretHash: string
  createdAt: string
  expiresAt: string | null
}

/** Live keys: what a request's key is checked against. */
export const credentialSpace = jsonSpace<[keyId: string], CredentialRecord>('key')

/** Revoked keys stay, so that they are refused as revoked and not as unknown. */
export const revokedSpace = jsonSpace<[keyId: string], CredentialRecord & { revokedAt: string }>('revoked')

/** Who a person is: never an e-mail address, which issuers give out and take back. */
export interface PersonIdentity {
  issuer: string
  subject: string
}

export interface MemberRecord {
  id: Id<'mem'>
  /** To show, and to write to. It opens nothing. */
  email: string | null
  role: Role
  /**
   * `provider`: let in by an identity provider's word, so its rules hold for each of their tokens, and `role` is what
   * the first one came with. `organisation`: put in, or given a role, by the organisation, so this record alone decides.
   */
  decidedBy: 'provider' | 'organisation'
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
  createdAt: string
  updatedAt: string
  version: number
}

/** In the subspace of the service `identity-providers`, like the one below. */
export const providerSpace = jsonSpace<[providerId: string], ProviderRecord>('provider')

/** An issuer has one provider at most, so that a token has one reading. */
export const issuerSpace = jsonSpace<[issuer: string], Id<'idp'>>('issuer')

/** What the tenant's making answered, sealed, for as long as an operator may repeat the request. */
export const provisionedSpace = jsonSpace<['answer'], { sealed: string; expiresAt: number }>('provisioned')
