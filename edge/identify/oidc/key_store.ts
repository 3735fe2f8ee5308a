// The second tier of issuers' keys: the data centre's cache (Cache API), which outlives isolates and is shared by them.
// Where there is none, or it fails, each isolate fetches for itself.
import { sha256 } from '../../../shared/bytes.ts'

export interface StoredKeys {
  /** A list of public keys (JWK, RFC 7517), as JSON. */
  text: string
  fetchedAtMs: number
}

export interface KeyStore {
  get(issuer: string): Promise<StoredKeys | undefined>
  put(issuer: string, keys: StoredKeys): Promise<void>
}

const FETCHED_AT = 'coditect-fetched-at'

/** @param maxAgeSeconds how long the cache may keep them */
export function cachedKeys(maxAgeSeconds: number): KeyStore {
  const place = async (issuer: string) => {
    const digest = (await sha256(issuer)).toHex()
    return { cache: await caches.open('issuer-key-lists'), url: `https://issuer-keys.invalid/${digest}` }
  }
  return {
    async get(issuer) {
      try {
        const { cache, url } = await place(issuer)
        const found = await cache.match(url)
        if (found === undefined) return undefined
        const fetchedAtMs = Number(found.headers.get(FETCHED_AT))
        return { text: await found.text(), fetchedAtMs }
      } catch {
        return undefined
      }
    },
    async put(issuer, { text, fetchedAtMs }) {
      try {
        const { cache, url } = await place(issuer)
        const headers = {
          'cache-control': `public, max-age=${maxAgeSeconds}`,
          [FETCHED_AT]: String(fetchedAtMs),
        }
        await cache.put(url, new Response(text, { headers }))
      } catch {
        // The isolate has them all the same.
      }
    },
  }
}
