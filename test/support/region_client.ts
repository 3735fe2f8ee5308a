// Plays the edge's part towards a region: signs an assertion for each request, as whoever the test says.
import { ENTER_PATH, verifyAdminLink } from '../../shared/admin_link.ts'
import { importAssertionKey, signAssertion } from '../../shared/assertion.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { verifyApiKey } from '../../shared/credentials/api_key.ts'
import { INVITATION_PATH, verifyInvitation } from '../../shared/credentials/invitation_token.ts'
import { hashOperatorToken } from '../../shared/credentials/operator_token.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { HOOKS_PATH, RECEIVE_PATH, verifySourceToken } from '../../shared/credentials/source_token.ts'
import { ASSERTION, IDEMPOTENCY_KEY } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import type { AdminLinkPrincipal, Principal, SignedUrlPrincipal } from '../../shared/principal.ts'
import { verifySignedUrl } from '../../shared/signed_url.ts'

export interface Answer {
  status: number
  headers: Headers
  // The shape is the test's to check.
  // biome-ignore lint/suspicious/noExplicitAny: an answer's body may be anything
  body: any
}

export interface Ask {
  /** An API key's text, a signed URL, an admin link, an invitation, the URL of a webhook source, `operator`, `region` (what a region calls another as), or the principal itself. */
  as: string | Principal
  method?: string
  /** Empty for a signed URL's own. */
  path: string
  /** What the edge is made to say wrongly of a signed URL. */
  signedFor?: Partial<SignedUrlPrincipal>
  /** What the edge says beside an admin link or an invitation. */
  entering?: Partial<AdminLinkPrincipal>
  body?: unknown
  headers?: Record<string, string>
  requestId?: string
  /** What the edge says is the Idempotency-Key, where a replay has another header; null for none. */
  keySaid?: string | null
}

/** Fresh secrets, as the regions of one test and their client share them. */
export class RegionSecrets {
  readonly signingRoots = [{ id: 1, secret: secret(), state: 'active' as const }]
  readonly assertionKeys: Record<string, [{ kid: string; secret: string }]>
  readonly sealingKeys: Record<string, string>

  constructor(regions: ReadonlyArray<string>) {
    this.assertionKeys = Object.fromEntries(
      regions.map((name) => [name, [{ kid: `${name}-1`, secret: secret() }]]),
    )
    this.sealingKeys = Object.fromEntries(regions.map((name) => [name, secret()]))
  }

  /** The environment of one of the regions, but for its ports and data. */
  async environment(region: string, urls: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const regions = Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, [url]]))
    const operator = { id: 'ops', role: 'admin', secretHash: await hashOperatorToken('operator') }
    return {
      REGION: region,
      CONTROL_REGION: 'us',
      REGIONS: JSON.stringify(regions),
      ASSERTION_KEYS: JSON.stringify(this.assertionKeys),
      SIGNING_ROOTS: JSON.stringify(this.signingRoots),
      OPERATORS: JSON.stringify([operator]),
      SEALING_KEY: this.sealingKeys[region] ?? '',
      KEY_ENVIRONMENT: 'test',
    }
  }
}

/** Where clients find the edge that the client plays. */
const PUBLIC_ORIGIN = 'https://api.test'

const secret = () => toBase64url(randomBytes(32))

export class RegionClient {
  private readonly secrets: RegionSecrets
  private roots: Roots | undefined
  private readonly urlOf: (region: string) => string

  constructor(secrets: RegionSecrets, urlOf: (region: string) => string) {
    this.secrets = secrets
    this.urlOf = urlOf
  }

  async ask(region: string, ask: Ask): Promise<Answer> {
    const response = await this.open(region, ask)
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
  }

  /** As {@link ask}, for an answer that is not over yet. */
  async open(region: string, ask: Ask, signal?: AbortSignal): Promise<Response> {
    const { method = 'GET', body, headers = {}, requestId = newId('req') } = ask
    const { keySaid = new Headers(headers).get(IDEMPOTENCY_KEY) } = ask
    const { principal, path } = await this.speaker(ask, method)
    const key = await importAssertionKey(this.secrets.assertionKeys[region] ?? [])
    const idempotencyKey = keySaid ?? undefined
    const request = { region, method, target: path, requestId, idempotencyKey, publicOrigin: PUBLIC_ORIGIN }
    return fetch(this.urlOf(region) + path, {
      method,
      headers: {
        [ASSERTION]: await signAssertion(request, principal, key),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal && { signal }),
    })
  }

  /** Makes a tenant and answers with its first key. */
  async newTenant(slug: string, region: string): Promise<{ id: string; key: string }> {
    const owner = { email: `owner@${slug}.example` }
    const { status, body } = await this.ask('us', {
      as: 'operator',
      method: 'POST',
      path: '/platform/v1/tenants',
      body: { slug, name: slug, region, plan: 'team', owner },
    })
    if (status !== 201) throw new Error(JSON.stringify(body))
    return { id: body.tenant.id, key: body.apiKey.key }
  }

  private async speaker(
    { as, path, signedFor, entering }: Ask,
    method: string,
  ): Promise<{ principal: Principal; path: string }> {
    if (typeof as !== 'string') return { principal: as, path }
    if (!as.startsWith(PUBLIC_ORIGIN)) return { principal: await this.principalOf(as), path }
    this.roots ??= await Roots.import(this.secrets.signingRoots)
    if (as.startsWith(`${PUBLIC_ORIGIN}${INVITATION_PATH}`)) {
      const verified = await verifyInvitation(new URL(as).searchParams.get('token') ?? '', this.roots)
      if (verified === undefined) throw new Error('not an invitation')
      const { invitation, secretHash } = verified
      const { tenant, invitationId } = invitation
      const begins = entering?.begins && { begins: entering.begins }
      return {
        principal: { kind: 'invitation', tenant, invitationId, secretHash, ...begins },
        path,
      }
    }
    if (as.startsWith(`${PUBLIC_ORIGIN}${HOOKS_PATH}`)) {
      const verified = await verifySourceToken(as.slice(PUBLIC_ORIGIN.length + HOOKS_PATH.length), this.roots)
      if (verified === undefined) throw new Error('not the URL of a source')
      const { source, secretHash } = verified
      const { tenant, sourceId } = source
      return { principal: { kind: 'webhook_source', tenant, sourceId, secretHash }, path: RECEIVE_PATH }
    }
    if (as.startsWith(`${PUBLIC_ORIGIN}${ENTER_PATH}`)) {
      const target = as.slice(PUBLIC_ORIGIN.length)
      const verdict = await verifyAdminLink({ origin: PUBLIC_ORIGIN, target }, this.roots)
      if (verdict.outcome !== 'verified') throw new Error('not an admin link')
      const { tenant, linkId } = verdict.link
      const { secretHash } = verdict
      return { principal: { kind: 'admin_link', tenant, linkId, secretHash, ...entering }, path }
    }
    const request = {
      origin: PUBLIC_ORIGIN,
      method: path === '' ? method : 'GET',
      full: as.slice(PUBLIC_ORIGIN.length),
    }
    const verdict = await verifySignedUrl(request, this.roots, Date.now())
    if (verdict.outcome !== 'verified') throw new Error('not a signed URL')
    const { tenant, issuer: keyId, scope, expiresAtMs, nonce } = verdict.claims
    const principal: Principal = {
      kind: 'signed_url',
      tenant,
      keyId,
      scope,
      expiresAtMs,
      nonce,
      ...signedFor,
    }
    return { principal, path: path || verdict.target }
  }

  private async principalOf(as: string): Promise<Principal> {
    if (as === 'operator') {
      return {
        kind: 'operator',
        operatorId: 'ops',
        role: 'admin',
        secretHash: await hashOperatorToken('operator'),
      }
    }
    if (as === 'region') return { kind: 'region', region: 'us' }
    this.roots ??= await Roots.import(this.secrets.signingRoots)
    const verdict = await verifyApiKey(as, this.roots)
    if (verdict.outcome === 'refused') throw new Error('not a key')
    const { tenant, keyId } = verdict.key
    return { kind: 'api_key', tenant, keyId, secretHash: verdict.secretHash }
  }
}
