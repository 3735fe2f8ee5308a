// What an edge would send with each request to a region, made before the clock runs: a measured region is to do its work,
// and not to wait for a load generator that signs.
import { type AssertionKey, importAssertionKey, signAssertion } from '../../../shared/assertion.ts'
import { verifyApiKey } from '../../../shared/credentials/api_key.ts'
import { Roots } from '../../../shared/credentials/roots.ts'
import { ASSERTION, PLAN } from '../../../shared/headers.ts'
import { newId } from '../../../shared/ids.ts'
import type { Principal } from '../../../shared/principal.ts'
import type { RegionSecrets } from '../../support/region_client.ts'

export interface Signed {
  path: string
  headers: Record<string, string>
}

export class AssertionMaker {
  private readonly key: AssertionKey
  private readonly principals: ReadonlyArray<Principal>

  private constructor(key: AssertionKey, principals: ReadonlyArray<Principal>) {
    this.key = key
    this.principals = principals
  }

  /** For requests to the region `us`, with any of these API keys. */
  static async of(secrets: RegionSecrets, apiKeys: ReadonlyArray<string>): Promise<AssertionMaker> {
    const roots = await Roots.import(secrets.signingRoots)
    const principals = apiKeys.map(async (key): Promise<Principal> => {
      const verdict = await verifyApiKey(key, roots)
      if (verdict.outcome === 'refused') throw new Error('not a key')
      const { tenant, keyId } = verdict.key
      return { kind: 'api_key', tenant, keyId, secretHash: verdict.secretHash }
    })
    return new AssertionMaker(
      await importAssertionKey(secrets.assertionKeys.us ?? []),
      await Promise.all(principals),
    )
  }

  /** One request with the nth key. Good for half a minute. */
  async sign(n: number, method: string, path: string): Promise<Signed> {
    const principal = this.principals[n]
    if (principal === undefined) throw new Error(`there is no key ${n}`)
    const asserted = { region: 'us', method, target: path, requestId: newId('req') }
    return {
      path,
      headers: { [ASSERTION]: await signAssertion(asserted, principal, this.key), [PLAN]: 'team' },
    }
  }
}
