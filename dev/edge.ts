// The edge as a worker: its entry, what it is given, and its objects. Alike here and on machines of one's own.
import { fileURLToPath } from 'node:url'
import type { Bindings } from '../edge/env.ts'

export const EDGE_ENTRY = fileURLToPath(new URL('../edge/worker.ts', import.meta.url))

/** On machines of one's own, deployed: behind proxies. */
export const OWN_EDGE_ENTRY = fileURLToPath(new URL('../edge/own_worker.ts', import.meta.url))

export const EDGE_BINDINGS = [
  'PUBLIC_ORIGIN',
  'REGIONS',
  'CONTROL_REGION',
  'ASSERTION_KEYS',
  'SIGNING_ROOTS',
  'OPERATORS',
  'FAILURE_LIMIT',
  'BASE_DOMAIN',
  'LIMITS',
  'DEVELOPMENT_ISSUERS',
] as const satisfies ReadonlyArray<keyof Bindings>

/** Tenants' rate limits. */
export const EDGE_OBJECTS = { TENANT_LIMITER: 'TenantLimiter' }

/** For `OWN_EDGE_ENTRY` alone. */
export const OWN_EDGE_BINDINGS = ['TRUSTED_PROXIES'] as const satisfies ReadonlyArray<keyof Bindings>

/** In a workerd of one's own; not on Cloudflare. */
export const EDGE_TEXTS = { LIMITER_OBJECTS: '16' } satisfies Partial<Bindings>
