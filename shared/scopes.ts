// Scopes: what a credential allows. `<resource>:read`, `<resource>:write` (which includes reading), or `*`.

export const RESOURCES = [
  'tenant',
  'api-keys',
  'members',
  'identity-providers',
  'projects',
  'collections',
  'records',
  'events',
  'audit',
  'usage',
  'jobs',
  'signed-urls',
  'admin-links',
  'sessions',
  'domains',
  'agents',
  'webhook-sources',
  'webhook-endpoints',
] as const
export type Resource = (typeof RESOURCES)[number]
export type Scope = `${Resource}:${'read' | 'write'}`

export const SCOPES: ReadonlyArray<Scope | '*'> = [
  '*',
  ...RESOURCES.flatMap((resource) => [`${resource}:read`, `${resource}:write`] as const),
]

/** Whether what was granted covers what is needed. */
export function allows(granted: ReadonlyArray<string>, needed: string): boolean {
  if (granted.includes('*') || granted.includes(needed)) return true
  return needed.endsWith(':read') && granted.includes(needed.replace(/:read$/, ':write'))
}
