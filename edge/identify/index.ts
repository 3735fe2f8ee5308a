// Stage one, identify: from a request's headers to who asks, without asking anyone. Each part of the API takes
// one kind of credential, so a key of the wrong kind is as good as an invented one.
import type { EdgeConfig } from '../env.ts'
import { type ApiKeyIdentity, identifyApiKey } from './api_key.ts'
import { presentedCredential } from './credential.ts'
import { identifyOperator, type OperatorIdentity } from './operator_token.ts'
import { Remembered } from './remembered.ts'

export type Identity = ApiKeyIdentity | OperatorIdentity
export type CredentialKind = Identity['kind']

export type Identification =
  | { outcome: 'identified'; identity: Identity }
  | { outcome: 'refused'; code: 'credential_missing' | 'credential_invalid' | 'conflicting_credentials' }

export type Identify = (headers: Headers, kind: CredentialKind) => Promise<Identification>

/** For one isolate: keeps the keys that it has verified. */
export function identifier({ roots, operators }: Pick<EdgeConfig, 'roots' | 'operators'>): Identify {
  const verified = new Remembered<ApiKeyIdentity>()
  return async function identify(headers, kind) {
    const presented = presentedCredential(headers)
    if (presented.outcome === 'none') return { outcome: 'refused', code: 'credential_missing' }
    if (presented.outcome === 'several') return { outcome: 'refused', code: 'conflicting_credentials' }
    if (presented.outcome === 'unreadable') return { outcome: 'refused', code: 'credential_invalid' }
    const identity =
      kind === 'api_key'
        ? await identifyApiKey(presented.text, roots, verified)
        : await identifyOperator(presented.text, operators)
    return identity ? { outcome: 'identified', identity } : { outcome: 'refused', code: 'credential_invalid' }
  }
}
