// Roles of an organisation's people, and what each allows: the one table. A role allows all that the next one does, and
// nobody gives a role that allows more than they may themselves.
import { allows, type Scope } from './scopes.ts'

/** From the most to the least. */
export const ROLES = ['owner', 'admin', 'member', 'viewer'] as const
export type Role = (typeof ROLES)[number]

/** Whoever writes identity providers decides who everybody is, so that is the owners' alone. */
export const ROLE_SCOPES: Readonly<Record<Role, ReadonlyArray<Scope | '*'>>> = {
  owner: ['*'],
  admin: [
    'tenant:write',
    'api-keys:write',
    'members:write',
    'identity-providers:read',
    'projects:write',
    'collections:write',
    'records:write',
    'agents:write',
    'events:read',
    'audit:read',
    'usage:read',
    'jobs:write',
    'admin-links:write',
    'sessions:write',
    'domains:write',
    'webhook-sources:write',
    'webhook-endpoints:write',
  ],
  member: [
    'tenant:read',
    'members:read',
    'projects:write',
    'collections:write',
    'records:write',
    'agents:write',
    'usage:read',
    'jobs:write',
  ],
  viewer: [
    'tenant:read',
    'members:read',
    'projects:read',
    'collections:read',
    'records:read',
    'agents:read',
    'usage:read',
    'jobs:read',
  ],
}

/** Whether someone with these scopes may give, change or take away the role. */
export const mayGrant = (granted: ReadonlyArray<string>, role: Role): boolean =>
  ROLE_SCOPES[role].every((scope) => allows(granted, scope))

/** The one that allows most; undefined when there is none. */
export const highestRole = (roles: ReadonlyArray<Role>): Role | undefined =>
  ROLES.find((role) => roles.includes(role))
