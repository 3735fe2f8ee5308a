// An edge under test: real bindings, real keys, and the loopback regions of test/support behind it.
import { inject } from 'vitest'
import { type Bindings, readBindings } from '../../edge/env.ts'
import { createEdge, type EdgeOptions } from '../../edge/pipeline.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import { hashOperatorToken, newOperatorToken } from '../../shared/credentials/operator_token.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { HOOKS_PATH, mintSourceToken } from '../../shared/credentials/source_token.ts'
import type { SnapshotAnswer } from '../../shared/edge_calls.ts'
import { newId } from '../../shared/ids.ts'
import { signUrl } from '../../shared/signed_url.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { memoryLeases } from './memory_leases.ts'
import type { Seen } from './seen.ts'

const secret = (fill: number): string => toBase64url(new Uint8Array(32).fill(fill))

export const TENANT_NUMBER = asTenantNumber(4711n)
export const PUBLIC_ORIGIN = 'https://api.test'
export const OPERATOR_TOKEN = newOperatorToken()
export const ROOTS = [
  { id: 1, secret: secret(1), state: 'active' },
  { id: 2, secret: secret(2), state: 'compromised' },
] as const
export const US_KEYS = [{ kid: 'us-1', secret: secret(3) }]
export const EU_KEYS = [{ kid: 'eu-1', secret: secret(4) }]

export async function bindings(overrides: Partial<Bindings> = {}): Promise<Bindings> {
  const { steady } = inject('regions')
  return {
    REGIONS: JSON.stringify({ us: [steady], eu: [steady] }),
    PUBLIC_ORIGIN,
    CONTROL_REGION: 'us',
    ASSERTION_KEYS: JSON.stringify({ us: US_KEYS, eu: EU_KEYS }),
    SIGNING_ROOTS: JSON.stringify(ROOTS),
    OPERATORS: JSON.stringify([
      { id: 'ops', role: 'admin', secretHash: await hashOperatorToken(OPERATOR_TOKEN) },
    ]),
    ...overrides,
  }
}

/** An edge in front of `regions`, by default both in front of the steady one. */
export async function edgeTo(
  regions?: Record<string, ReadonlyArray<string>>,
  headerTimeoutMs?: number,
  overrides: Partial<Bindings> = {},
  options: EdgeOptions = {},
) {
  const own = regions && { REGIONS: JSON.stringify(regions) }
  const config = await readBindings(await bindings({ ...own, ...overrides }))
  const leases = memoryLeases()
  return createEdge(config, {
    leases,
    ...(headerTimeoutMs !== undefined && { headerTimeoutMs }),
    ...options,
  })
}

export async function newKey(
  region = 'us',
  root: number = ROOTS[0].id,
  tenant = TENANT_NUMBER,
): Promise<string> {
  const roots = await activeRoot(root)
  const { text } = await mintApiKey('test', { keyId: newId('key'), tenant, region }, roots)
  return text
}

/** The path that a third party sends its webhooks to. */
export async function newHookPath(root: number = ROOTS[0].id): Promise<string> {
  const claims = { sourceId: newId('whs'), tenant: TENANT_NUMBER, region: 'us' }
  return HOOKS_PATH + (await mintSourceToken(claims, await activeRoot(root))).text
}

/** As it was when it still signed. */
const activeRoot = (root: number): Promise<Roots> =>
  Roots.import(ROOTS.filter(({ id }) => id === root).map((one) => ({ ...one, state: 'active' })))

/** Path and query of a signed URL of the tenant's, as a region would have signed it. */
export async function newSignedTarget(
  target: string,
  { method = 'GET', scope = 'projects:read', expiresAtMs = Date.now() + 60_000, origin = PUBLIC_ORIGIN } = {},
): Promise<string> {
  const claims = { tenant: TENANT_NUMBER, region: 'us', issuer: newId('key'), scope, expiresAtMs }
  const url = await signUrl(claims, { origin, method, target }, await Roots.import(ROOTS))
  return url.slice(origin.length)
}

/** A word that no other test's requests hold. */
export const newMarker = (): string => crypto.randomUUID()

/** What reached a region under this marker. */
export async function seen(marker: string): Promise<Seen[]> {
  const response = await fetch(`${inject('regions').control}/seen?marker=${marker}`)
  return response.json()
}

/** Writes the next part of an answer to `/v1/stream` that is under way. */
export const push = async (marker: string, part: string): Promise<void> => {
  await (await fetch(`${inject('regions').control}/push?marker=${marker}&part=${part}`)).text()
}

/**
 * What the region `us` answers an edge that asks of the tenant's snapshot.
 * @param held the version that it has, such as `1.2`; undefined when it has none
 */
export async function saySnapshot(
  { tenant, held }: { tenant: TenantNumber; held?: string },
  answer: SnapshotAnswer,
  region = 'us',
): Promise<void> {
  const asked = held === undefined ? String(tenant) : `${tenant}?held=${held}`
  const query = new URLSearchParams({ region, asked, answer: JSON.stringify(answer) })
  await (await fetch(`${inject('regions').control}/snapshot?${query}`)).text()
}

export const control = async (action: 'close' | 'open' | 'hang' | 'wake'): Promise<void> => {
  await (await fetch(`${inject('regions').control}/${action}`)).text()
}

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
