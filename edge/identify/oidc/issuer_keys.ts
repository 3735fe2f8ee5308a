// The public keys of OpenID issuers: found by discovery (OpenID Connect Discovery 1.0 section 4), kept in the isolate and
// in the data centre's cache. They belong to the issuer, whichever tenants take its tokens. Keys that it takes away end
// after ten minutes; while it does not answer, known ones go on serving for a day, counted from when it said them. A
// signature that holds under none of them makes us ask again once in 30 seconds at most.
import type { JWK } from 'jose'
import { type Dated, Refreshed } from '../../refreshed.ts'
import { KEY_TYPES } from '../jwt_text.ts'
import { FETCH_TIMEOUT_MS, fetchJson } from './fetch_json.ts'
import type { KeyStore, StoredKeys } from './key_store.ts'

const FRESH_MS = 5 * 60_000
const STALE_MS = 10 * 60_000
export const KEEP_MS = 24 * 60 * 60_000
const AGAIN_MS = 30_000
/** Characters that all sets together may have: those of some thousand issuers. */
const KEYS_LENGTH = 2 ** 20
/** What a set takes beside its text, in characters. */
const SET_LENGTH = 500
const MAX_KEYS = 100

/** The same object for as long as the issuer says the same. */
export interface IssuerKeys {
  /** No two sets have the same. */
  serial: number
  text: string
  keys: ReadonlyArray<JWK>
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
  let made = 0
  const source = new Refreshed<string, IssuerKeys>({
    load,
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    keepMs: KEEP_MS,
    againMs: AGAIN_MS,
    // Discovery, then the keys.
    loadMs: 2 * FETCH_TIMEOUT_MS + 500,
    capacity: KEYS_LENGTH,
    weigh: ({ text }) => SET_LENGTH + text.length,
    waitUntil,
    now,
  })

  async function load(
    issuer: string,
    maxAgeMs: number,
    known: IssuerKeys | undefined,
  ): Promise<Dated<IssuerKeys>> {
    const stored = await store.get(issuer)
    if (stored !== undefined && now() - stored.fetchedAtMs < maxAgeMs) return setOf(stored, known)
    try {
      const text = JSON.stringify(usable(await fetchKeys(issuer, development)))
      const fetched = { text, fetchedAtMs: now() }
      waitUntil(store.put(issuer, fetched))
      return setOf(fetched, known)
    } catch (error) {
      if (stored === undefined) throw error
      return setOf(stored, known)
    }
  }

  function setOf({ text, fetchedAtMs: atMs }: StoredKeys, known: IssuerKeys | undefined): Dated<IssuerKeys> {
    if (known?.text === text) return { value: known, atMs }
    return { value: { serial: ++made, text, keys: JSON.parse(text) as JWK[] }, atMs }
  }

  return source
}

/** @throws {Error} when the issuer does not answer as an issuer does */
async function fetchKeys(issuer: string, development: boolean): Promise<ReadonlyArray<unknown>> {
  const configuration = await fetchJson(
    `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
    development,
  )
  if (configuration.issuer !== issuer) throw new Error('not its own')
  if (typeof configuration.jwks_uri !== 'string') throw new Error('not a URL to fetch')
  const { keys } = await fetchJson(configuration.jwks_uri, development)
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw new Error('not a set of keys')
  return keys
}

/** All that a key is made of (RFC 7518 section 6, RFC 8037 section 2). */
const MEMBERS = ['kty', 'kid', 'alg', 'crv', 'x', 'y', 'n', 'e'] as const

/** The public keys that signatures may be checked with, and of them no more than that: an issuer may write anything beside. */
function usable(keys: ReadonlyArray<unknown>): JWK[] {
  return keys.flatMap((key) => {
    const jwk = Object(key) as Record<string, unknown>
    const { kty, alg, use = 'sig', key_ops: uses = ['verify'], d } = jwk
    const isOf = ([name, type]: [string, string]) => type === kty && (alg === undefined || alg === name)
    if (!Object.entries(KEY_TYPES).some(isOf) || use !== 'sig') return []
    // Whoever publishes the private part has lost it.
    if (d !== undefined || !Array.isArray(uses) || !uses.includes('verify')) return []
    const members = MEMBERS.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]])
    if (members.some(([, value]) => typeof value !== 'string')) return []
    return [Object.fromEntries(members) as JWK]
  })
}
