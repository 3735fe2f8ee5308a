// The public keys of OpenID issuers: found by discovery (OpenID Connect Discovery 1.0 section 4), kept in the isolate and
// in the data centre's cache. They belong to the issuer, whichever tenants take its tokens. Known keys go on serving for
// a day while the issuer does not answer; an unknown key id makes us ask again once in 30 seconds at most.
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { Lru } from '../../lru.ts'
import { Refreshed } from '../../refreshed.ts'
import { FETCH_TIMEOUT_MS, fetchJson } from './fetch_json.ts'
import type { KeyStore } from './key_store.ts'

const FRESH_MS = 5 * 60_000
export const KEEP_MS = 24 * 60 * 60_000
const AGAIN_MS = 30_000
const CAPACITY = 1_000
const MAX_KEYS = 100

/** The same object for as long as the issuer says the same. */
export interface IssuerKeys {
  text: string
  find: ReturnType<typeof createLocalJWKSet>
}

export interface IssuerKeysOptions {
  store: KeyStore
  /** Whether issuers of this machine, over http, are let through. */
  development: boolean
  waitUntil(work: Promise<unknown>): void
  now(): number
}

export type KeySource = Pick<Refreshed<string, IssuerKeys>, 'get' | 'renewed'>

export function issuerKeys({ store, development, waitUntil, now }: IssuerKeysOptions): KeySource {
  const sets = new Lru<string, IssuerKeys>(CAPACITY)
  const source = new Refreshed<string, IssuerKeys>({
    load,
    freshMs: FRESH_MS,
    keepMs: KEEP_MS,
    againMs: AGAIN_MS,
    // Discovery, then the keys.
    loadMs: 2 * FETCH_TIMEOUT_MS + 500,
    capacity: CAPACITY,
    waitUntil,
    now,
  })

  async function load(issuer: string, maxAgeMs: number): Promise<IssuerKeys> {
    const stored = await store.get(issuer)
    if (stored !== undefined && now() - stored.fetchedAtMs < maxAgeMs) return setOf(issuer, stored.text)
    try {
      const text = JSON.stringify(await fetchKeys(issuer, development))
      const keys = setOf(issuer, text)
      waitUntil(store.put(issuer, { text, fetchedAtMs: now() }))
      return keys
    } catch (error) {
      // Only for an isolate that begins while the issuer is down: what another one holds may be newer than this.
      const usable = stored !== undefined && now() - stored.fetchedAtMs < KEEP_MS
      if (!usable || sets.get(issuer) !== undefined) throw error
      return setOf(issuer, stored.text)
    }
  }

  function setOf(issuer: string, text: string): IssuerKeys {
    const known = sets.get(issuer)
    if (known?.text === text) return known
    const made = { text, find: createLocalJWKSet(JSON.parse(text) as JSONWebKeySet) }
    sets.set(issuer, made)
    return made
  }

  return source
}

/** @throws {Error} when the issuer does not answer as an issuer does */
async function fetchKeys(issuer: string, development: boolean): Promise<JSONWebKeySet> {
  const configuration = await fetchJson(
    `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
    development,
  )
  if (configuration.issuer !== issuer) throw new Error('the configuration of another issuer')
  const { keys } = await fetchJson(String(configuration.jwks_uri), development)
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw new Error('not a set of keys')
  // Throws for what is no set of keys.
  createLocalJWKSet({ keys })
  return { keys }
}
