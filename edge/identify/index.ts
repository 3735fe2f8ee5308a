// Stage one, identify: from a request to who asks, without asking anyone on the way (but for the first token of a tenant
// or issuer that this isolate has not met). Each part of the API takes its own kinds of credential, so a key of the wrong
// kind is as good as an invented one.

import type { RequestContext } from '../context.ts'
import type { EdgeConfig } from '../env.ts'
import { Lru } from '../lru.ts'
import type { Stage } from '../stage.ts'
import { type ApiKeyIdentity, identifyApiKey } from './api_key.ts'
import { presentedCredential, REMEMBERED } from './credential.ts'
import type { Identity } from './identity.ts'
import type { IdentifyJwt } from './jwt.ts'
import { looksLikeJwt } from './jwt_text.ts'
import { identifyOperator } from './operator_token.ts'
import { identifySignedUrl } from './signed_url.ts'

/** Of the API: `/v1` or `/platform/v1`. */
export type Part = 'tenant' | 'platform'

export type Identification =
  | { outcome: 'identified'; identity: Identity }
  | {
      outcome: 'refused'
      code:
        | 'credential_missing'
        | 'credential_invalid'
        | 'conflicting_credentials'
        | 'signed_url_expired'
        | 'tenant_mismatch'
        | 'identity_provider_unavailable'
        | 'region_unavailable'
    }

export type Identify = (context: RequestContext, part: Part) => Promise<Identification>

type Config = Pick<EdgeConfig, 'roots' | 'operators' | 'publicOrigin'>

/** For one isolate: keeps the keys that it has verified. What the host names, `name` finds out for tokens. */
export function identifier(
  config: Config,
  { name, identifyJwt, now }: { name: Stage; identifyJwt: IdentifyJwt; now: () => number },
): Identify {
  const verified = new Lru<string, ApiKeyIdentity>(REMEMBERED)
  return async function identify(context, part) {
    const presented = presentedCredential(context)
    if (presented.outcome === 'none') return { outcome: 'refused', code: 'credential_missing' }
    if (presented.outcome === 'several') return { outcome: 'refused', code: 'conflicting_credentials' }
    if (part === 'tenant' && presented.outcome === 'one' && looksLikeJwt(presented.text)) {
      await name(context)
      return identifyJwt(presented.text, context)
    }
    const identity = await identityOf()
    if (identity === 'expired') return { outcome: 'refused', code: 'signed_url_expired' }
    return identity ? { outcome: 'identified', identity } : { outcome: 'refused', code: 'credential_invalid' }

    async function identityOf(): Promise<Identity | 'expired' | undefined> {
      if (presented.outcome === 'signed_url') {
        return part === 'tenant' ? identifySignedUrl(context, config, now()) : undefined
      }
      if (presented.outcome !== 'one') return undefined
      return part === 'tenant'
        ? identifyApiKey(presented.text, config.roots, verified)
        : identifyOperator(presented.text, config.operators)
    }
  }
}
