// API keys: checked offline, so that an invented one costs no region anything.
import { verifyApiKey } from '../../shared/credentials/api_key.ts'
import type { Roots } from '../../shared/credentials/roots.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import type { Lru } from '../lru.ts'

export type ApiKeyIdentity = {
  kind: 'api_key'
  principal: TenantPrincipal
  /** The region that minted the key. */
  home: string
  /** Of a compromised root: whether it is real, only the region's stored hash can tell. */
  unproven: boolean
}

export async function identifyApiKey(
  text: string,
  roots: Roots,
  verified: Lru<string, ApiKeyIdentity>,
): Promise<ApiKeyIdentity | undefined> {
  const known = verified.get(text)
  if (known !== undefined) return known
  const verdict = await verifyApiKey(text, roots)
  if (verdict.outcome === 'refused') return undefined
  const { key, secretHash } = verdict
  const identity: ApiKeyIdentity = {
    kind: 'api_key',
    principal: { kind: 'api_key', tenant: key.tenant, keyId: key.keyId, secretHash },
    home: key.region,
    unproven: verdict.outcome === 'unproven',
  }
  if (!identity.unproven) verified.set(text, identity)
  return identity
}
