// What an edge would send with each request to a region, made before the clock runs: a measured region is to do its work,
// and not to wait for a load generator that signs.
import { type AssertionKey, importAssertionKey, signAssertion } from '../../../shared/assertion.ts'
import { verifyApiKey } from '../../../shared/credentials/api_key.ts'
import { Roots } from '../../../shared/credentials/roots.ts'
import { ASSERTION, PLAN, SNAPSHOT } from '../../../shared/headers.ts'
import { newId } from '../../../shared/ids.ts'
import type { Principal } from '../../../shared/principal.ts'
import { readSnapshot, writeVersion } from '../../../shared/snapshot.ts'
import type { RegionSecrets } from '../../support/region_client.ts'

export interface Signed {
  path: string
  headers: Record<string, string>
}

/** A tenant's API key, and the version of its snapshot that an edge holds after the first answer. */
export interface Asker {
  key: string
  held: string
}

/** What the headers of a region's first answer tell. @throws {Error} */
export function heldAfter({ headers }: { headers: Headers }): string {
  const snapshot = readSnapshot(headers.get(SNAPSHOT))
  if (snapshot === undefined) throw new Error('a first answer tells the snapshot')
  return writeVersion(snapshot)
}

export class AssertionMaker {
  private readonly key: AssertionKey
  private readonly askers: ReadonlyArray<{ principal: Principal; held: string }>

  private constructor(key: AssertionKey, askers: AssertionMaker['askers']) {
    this.key = key
    this.askers = askers
  }

  /** For requests to the region `us`, of any of these. */
  static async of(secrets: RegionSecrets, askers: ReadonlyArray<Asker>): Promise<AssertionMaker> {
    const roots = await Roots.import(secrets.signingRoots)
    const verified = askers.map(async ({ key, held }) => {
      const verdict = await verifyApiKey(key, roots)
      if (verdict.outcome === 'refused') throw new Error('not a key')
      const { tenant, keyId } = verdict.key
      const principal: Principal = { kind: 'api_key', tenant, keyId, secretHash: verdict.secretHash }
      return { principal, held }
    })
    const key = await importAssertionKey(secrets.assertionKeys.us ?? [])
    return new AssertionMaker(key, await Promise.all(verified))
  }

  /** One request of the nth of them. Good for half a minute. */
  async sign(n: number, method: string, path: string): Promise<Signed> {
    const asker = this.askers[n]
    if (asker === undefined) throw new Error(`there is no asker ${n}`)
    const { principal, held } = asker
    const asserted = { region: 'us', method, target: path, requestId: newId('req') }
    const assertion = await signAssertion(asserted, principal, this.key)
    return { path, headers: { [ASSERTION]: assertion, [PLAN]: 'team', [SNAPSHOT]: held } }
  }
}
