// Conversations with identity providers, for whoever is at a sign-in page: who may be anybody, and at a provider that may
// be anybody's too. So there are few at a time and never all of them one tenant's, none lasts as long as the edge waits
// for the region, and what a provider says of itself is asked for once in five minutes.
import * as oidc from 'openid-client'
import { Agent, fetch as fetchWith } from 'undici'
import { CLOCK_TOLERANCE_SECONDS } from '../../shared/assertion.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { type ConnectOptions, guardedConnector } from '../outbound/connect.ts'
import { FairSlots } from '../outbound/fair_slots.ts'
import type { ProviderRecord } from '../tenancy/records.ts'

/** Of one conversation, however many requests it takes. An edge that waits in vain takes the whole region for silent. */
const MAX_SECONDS = 7
/** What is left of the edge's patience for the way back. */
const WAY_BACK_MS = 1_000
/** One tenant has half of them at most, and each has a connection or none. */
const MAX_AT_ONCE = 64
/** Of an answer, as it is read: some hundred bytes on the wire may decode to as many MiB. */
const MAX_ANSWER_BYTES = 256 * 1024
/** Shorter than providers usually keep theirs, and none for as long as they like. */
const KEEP_ALIVE_MS = 4_000
const DESCRIPTION_MS = 5 * 60_000
/** What describes itself at more length is asked each time. */
const MAX_DESCRIPTION_CHARS = 16_384
const MAX_DESCRIPTIONS = 1_000

/** How a provider is spoken to. */
export type ProviderClient = Pick<ProviderRecord, 'id' | 'version' | 'issuer'> & {
  clientId: string
  secret: string | undefined
}

/** Its discovery document, as text: read anew each time. */
interface Description {
  version: number
  text: string
  untilMs: number
}

export interface ProviderCallsOptions {
  connect: ConnectOptions
  now: () => number
}

export class ProviderCalls {
  private readonly agent: Agent
  private readonly slots = new FairSlots(MAX_AT_ONCE)
  private readonly descriptions = new Map<`${TenantNumber} ${ProviderRecord['id']}`, Description>()
  private readonly options: ProviderCallsOptions

  constructor(options: ProviderCallsOptions) {
    this.options = options
    this.agent = new Agent({
      connect: guardedConnector(options.connect),
      maxResponseSize: MAX_ANSWER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      allowH2: false,
    })
  }

  /**
   * @param deadlineMs when nobody waits any more, where that is known
   * @throws {Problem} `overloaded`, and what the library throws, also when the time is over
   */
  async converse<T>(
    tenant: TenantNumber,
    client: ProviderClient,
    deadlineMs: number | undefined,
    work: (configuration: oidc.Configuration) => T | Promise<T>,
  ): Promise<T> {
    const leftMs = (deadlineMs ?? Number.POSITIVE_INFINITY) - this.options.now() - WAY_BACK_MS
    const over = AbortSignal.timeout(Math.max(0, Math.min(MAX_SECONDS * 1_000, leftMs)))
    if (!this.slots.take(tenant)) throw tooMany()
    try {
      return await work(await this.configurationOf(tenant, client, this.fetchUntil(over)))
    } finally {
      this.slots.release(tenant)
    }
  }

  close(): Promise<void> {
    return this.agent.destroy()
  }

  private async configurationOf(
    tenant: TenantNumber,
    { id, version, issuer, clientId, secret }: ProviderClient,
    fetch: oidc.CustomFetch,
  ): Promise<oidc.Configuration> {
    const { connect, now } = this.options
    const { protocol, hostname } = new URL(issuer)
    const isInsecure = protocol === 'http:' && connect.development.has(hostname)
    const key = `${tenant} ${id}` as const
    const kept = this.descriptions.get(key)
    const isFresh = kept?.version === version && now() < kept.untilMs
    let text = isFresh ? kept.text : undefined
    const configuration = await oidc.discovery(
      new URL(issuer),
      clientId,
      // What the region itself would refuse a moment later is refused here.
      { [oidc.clockTolerance]: CLOCK_TOLERANCE_SECONDS },
      secret === undefined ? oidc.None() : authentication(secret),
      {
        execute: [oidc.enableNonRepudiationChecks, ...(isInsecure ? [oidc.allowInsecureRequests] : [])],
        timeout: MAX_SECONDS,
        [oidc.customFetch]: async (url, options) => {
          if (text !== undefined) return Response.json(JSON.parse(text))
          const response = await fetch(url, options)
          if (response.status === 200) text = await response.clone().text()
          return response
        },
      },
    )
    configuration[oidc.customFetch] = fetch
    // It has been read, so it is one.
    if (!isFresh && text !== undefined && text.length <= MAX_DESCRIPTION_CHARS) {
      this.keep(key, { version, text, untilMs: now() + DESCRIPTION_MS })
    }
    return configuration
  }

  private keep(key: `${TenantNumber} ${ProviderRecord['id']}`, description: Description): void {
    this.descriptions.delete(key)
    this.descriptions.set(key, description)
    const [oldest] = this.descriptions.keys()
    if (this.descriptions.size > MAX_DESCRIPTIONS && oldest !== undefined) this.descriptions.delete(oldest)
  }

  private fetchUntil(over: AbortSignal): oidc.CustomFetch {
    return async (url, { body, headers, method, signal }) => {
      // Undici's own types of a request and of its answer, which are those of the platform but for their names.
      const answer = await fetchWith(url, {
        ...{ method, headers, dispatcher: this.agent, redirect: 'manual' },
        ...(body != null && { body: body as string | URLSearchParams }),
        signal: signal ? AbortSignal.any([over, signal]) : over,
      })
      const text = await textOf(answer.body ?? [])
      return new Response(text === '' ? null : text, {
        status: answer.status,
        headers: [...answer.headers],
      })
    }
  }
}

/** @throws {Error} where it is too large: no more of it is decoded */
async function textOf(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const whole = Buffer.alloc(MAX_ANSWER_BYTES)
  let bytes = 0
  for await (const chunk of body) {
    if (bytes + chunk.length > MAX_ANSWER_BYTES) throw new Error('the answer is too large')
    // Copied, not kept: each may be of one byte.
    whole.set(chunk, bytes)
    bytes += chunk.length
  }
  return whole.toString('utf8', 0, bytes)
}

/** As the provider wants it (RFC 6749 section 2.3.1); `client_secret_basic` where it does not say. */
const authentication =
  (secret: string): oidc.ClientAuth =>
  (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const basic = methods.includes('client_secret_basic')
    return (basic ? oidc.ClientSecretBasic(secret) : oidc.ClientSecretPost(secret))(server, ...rest)
  }

const tooMany = (): Problem =>
  new Problem('overloaded', 'Too many people are signing in at once. Try again in a moment.', {
    headers: { 'retry-after': '2' },
  })
