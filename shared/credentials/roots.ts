// Signing roots: the secrets behind every credential that we mint. Each use has a key of its own, derived with
// HKDF (RFC 5869), so that a tag made for one kind of credential never fits another.
import { fromBase64url, utf8, type WebCryptoKey } from '../bytes.ts'
import type { TenantNumber } from '../tenant.ts'

/**
 * `active`: signs and verifies; the active root with the highest id signs. `retired`: verifies as long as
 * credentials of it live. `compromised`: a tag may be anybody's who has the root. What third parties hold (API keys, tokens
 * of webhook sources) still needs the right one, and then the region's stored hash decides; all else of it has ended.
 */
export type RootState = (typeof STATES)[number]

const STATES = ['active', 'retired', 'compromised'] as const

/** As configuration holds it; `secret` is 32 bytes in base64url. */
export interface SigningRootConfig {
  id: number
  secret: string
  state: RootState
}

/** Nothing could be minted: no tenant, no key, no session. */
export const NONE_ACTIVE = 'no signing root is active: bring in a new one first'

export type RootPurpose = 'api-key v1' | 'operator-session v1'
/** Uses for which each tenant has a key of its own. */
export type TenantPurpose =
  | 'signed-url v1'
  | 'admin-link v1'
  | 'session v1'
  | 'invitation v1'
  | 'webhook-source v1'

interface SigningRoot {
  id: number
  state: RootState
  keys: Record<RootPurpose, WebCryptoKey>
  tenantKey(purpose: TenantPurpose, tenant: TenantNumber): Promise<WebCryptoKey>
}

export class Roots {
  private readonly byId: ReadonlyMap<number, SigningRoot>

  private constructor(roots: ReadonlyArray<SigningRoot>) {
    this.byId = new Map(roots.map((root) => [root.id, root]))
  }

  /**
   * Derives every key once.
   * @throws {Error} for an id outside 0–255, a doubled id, another state, or a secret that is not 32 bytes
   */
  static async import(configs: ReadonlyArray<SigningRootConfig>): Promise<Roots> {
    const roots: SigningRoot[] = []
    for (const { id, secret, state } of configs) {
      const bytes = fromBase64url(secret)
      if (!Number.isInteger(id) || id < 0 || id > 255)
        throw new Error('a signing root has an id from 0 to 255')
      if (roots.some((root) => root.id === id)) throw new Error(`signing root ${id} is there twice`)
      // A misspelt `compromised` would verify on.
      if (!STATES.includes(state))
        throw new Error(`the state of signing root ${id} is none of ${STATES.join(', ')}`)
      if (bytes?.length !== 32)
        throw new Error(`the secret of signing root ${id} is not 32 bytes in base64url`)
      const root = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey'])
      roots.push({
        id,
        state,
        keys: {
          'api-key v1': await deriveMacKey(root, 'api-key v1'),
          'operator-session v1': await deriveMacKey(root, 'operator-session v1'),
        },
        tenantKey: (purpose, tenant) => deriveMacKey(root, `${purpose} tenant ${tenant}`),
      })
    }
    return new Roots(roots)
  }

  get(id: number): SigningRoot | undefined {
    return this.byId.get(id)
  }

  /** The root that signs what is minted now. @throws {Error} when none is active. */
  signing(): SigningRoot {
    const active = [...this.byId.values()].filter((root) => root.state === 'active')
    const newest = active.toSorted((a, b) => b.id - a.id)[0]
    if (newest === undefined) throw new Error(NONE_ACTIVE)
    return newest
  }
}

function deriveMacKey(root: WebCryptoKey, use: string): Promise<WebCryptoKey> {
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: utf8(`coditect ${use}`) },
    root,
    { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    ['sign'],
  )
}
