// Webhook source tokens: part of the path of `POST /hooks/<token>`, checked offline like an API key.
import type { Roots } from '../../shared/credentials/roots.ts'
import { HOOKS_PATH, verifySourceToken } from '../../shared/credentials/source_token.ts'
import type { WebhookSourcePrincipal } from '../../shared/principal.ts'

export type SourceIdentity = {
  kind: 'webhook_source'
  principal: WebhookSourcePrincipal
  home: string
  /** Of a compromised root: whether it is real, only the region's stored hash can tell. */
  unproven: boolean
}

export async function identifySource(path: string, roots: Roots): Promise<SourceIdentity | undefined> {
  const verified = await verifySourceToken(path.slice(HOOKS_PATH.length), roots)
  if (verified === undefined) return undefined
  const { source, secretHash, unproven } = verified
  const { tenant, sourceId, region } = source
  return {
    kind: 'webhook_source',
    principal: { kind: 'webhook_source', tenant, sourceId, secretHash },
    home: region,
    unproven,
  }
}
