// Who sends webhooks to a tenant: read in the transaction of what they send, by the token's hash.
import type { Id } from '../../shared/ids.ts'
import type { WebhookSourcePrincipal } from '../../shared/principal.ts'
import type { Provider } from '../services/webhook-sources/providers.ts'
import { counterSpace } from '../storage/counter_space.ts'
import { jsonSpace } from '../storage/space.ts'
import { invalid, type Standing, sameHash } from './authorise.ts'
import type { TenantScope } from './region_database.ts'

export interface FormerSecret {
  sealedSecret: string
  untilMs: number
}

export interface SourceRecord {
  id: Id<'whs'>
  name: string
  provider: Provider
  eventTypes: Readonly<Record<string, string>>
  /** Which agent answers what it sends. */
  agent?: { projectId: Id<'prj'>; agentId: Id<'agt'> } | null
  /** SHA-256 of the token in base64url. */
  secretHash: string
  /** What the provider signs with. */
  sealedSecret: string
  /** Secrets of before, the newest first: what they sign is genuine until then. */
  former?: ReadonlyArray<FormerSecret>
  createdAt: string
  updatedAt: string
  version: number
}

/** In the subspace of the service `webhook-sources`. */
export const sourceSpace = jsonSpace<[sourceId: string], SourceRecord>('source')
export const sourceCounts = counterSpace<[sourceId: string, what: 'received' | 'rejected']>('count')

/** So many webhooks were refused for their signatures. A source that was removed meanwhile counts nothing any more. */
export async function countRejected(scope: TenantScope, sourceId: string, count: number): Promise<void> {
  const tx = scope.service('webhook-sources')
  if ((await tx.space(sourceSpace).get([sourceId])) === undefined) return
  tx.counters(sourceCounts).add([sourceId, 'rejected'], count)
}

/** A source may send, and nothing else: the operations say who may ask them. */
export async function ofSource(
  scope: TenantScope,
  { sourceId, secretHash }: WebhookSourcePrincipal,
): Promise<Standing> {
  const source = await scope.service('webhook-sources').space(sourceSpace).get([sourceId])
  if (source === undefined || !sameHash(source, secretHash)) return { outcome: 'unknown', problem: invalid() }
  return {
    outcome: 'holds',
    scopes: ['webhook-sources:write'],
    actor: { kind: 'webhook_source', id: sourceId },
  }
}
