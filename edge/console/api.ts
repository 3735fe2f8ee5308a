// The console's way to the API: the same stages as any client's request, from locate on, as whoever is in the console.
// So a page can do nothing that the API can't, and what the API refuses, a page is told in the API's own words.
import { IDEMPOTENCY_KEY, TENANT } from '../../shared/headers.ts'
import type { ProblemDetails } from '../../shared/problems.ts'
import type { Identity } from '../identify/identity.ts'

/** Locate → limit → forward, for an identity that was made inside. */
export type Inside = (request: Request, identity: Identity) => Promise<Response>

export type Refused = { ok: false; status: number; problem: ProblemDetails; retryAfter: string | undefined }
export type Answered<T> = { ok: true; status: number; body: T; etag: string | undefined } | Refused

export interface List<T> {
  data: ReadonlyArray<T>
  nextCursor: string | null
}

interface Sending {
  body?: unknown
  /** The body as somebody wrote it, instead: read here, a number may become another. */
  json?: string | undefined
  /** Instead of {@link ApiOptions.once}. */
  idempotencyKey?: string | undefined
  ifMatch?: string | undefined
  /** JSON otherwise. */
  accept?: string
}

/** How long a page may wait for the organisation's own rate to let through what it reads: several tabs come at once. */
const PATIENCE_MS = 3_000

interface ApiOptions {
  publicOrigin: string
  slug?: string
  /** The idempotency key of whatever is changed: a form that is sent twice says the same one twice. */
  once?: string | undefined
}

export class Api {
  private readonly inside: Inside
  private readonly identity: Identity
  private readonly client: Request
  private readonly publicOrigin: string
  private readonly slug: string | undefined
  private readonly once: string | undefined
  private patienceMs = PATIENCE_MS
  /** From the first refusal on. */
  private patientUntilMs: number | undefined

  /** @param client the browser's own request: its address is told on, and its end ends what it asked for */
  constructor(inside: Inside, identity: Identity, client: Request, { publicOrigin, slug, once }: ApiOptions) {
    this.inside = inside
    this.identity = identity
    this.client = client
    this.publicOrigin = publicOrigin
    this.slug = slug
    this.once = once
  }

  /** Asks again as often as the rate wants it, while there is time. */
  async get<T>(path: string): Promise<Answered<T>> {
    for (;;) {
      const answer = await this.ask<T>('GET', path)
      if (answer.ok || answer.status !== 429) return answer
      const waitMs = (Number(answer.retryAfter) || 1) * 1_000
      this.patientUntilMs ??= Date.now() + this.patienceMs
      if (Date.now() + waitMs > this.patientUntilMs) return answer
      await scheduler.wait(waitMs)
    }
  }

  /** For what takes longer than a page may. */
  bePatientFor(ms: number): void {
    this.patienceMs = ms
    this.patientUntilMs = undefined
  }

  post<T>(path: string, sending: Sending = {}): Promise<Answered<T>> {
    return this.ask('POST', path, sending)
  }

  patch<T>(path: string, sending: Sending = {}): Promise<Answered<T>> {
    return this.ask('PATCH', path, sending)
  }

  put<T>(path: string, sending: Sending = {}): Promise<Answered<T>> {
    return this.ask('PUT', path, sending)
  }

  delete<T = undefined>(path: string, sending: Sending = {}): Promise<Answered<T>> {
    return this.ask('DELETE', path, sending)
  }

  /** The answer as it comes, for what is streamed on. */
  async raw(
    method: string,
    path: string,
    { body, json, idempotencyKey = this.once, ifMatch, accept = 'application/json' }: Sending = {},
  ): Promise<Response> {
    const text = json ?? (body === undefined ? undefined : JSON.stringify(body))
    const headers = new Headers({ accept })
    for (const name of ['cf-connecting-ip', 'user-agent']) {
      const value = this.client.headers.get(name)
      if (value !== null) headers.set(name, value)
    }
    // The region holds the tenant of the credential against the one in the page's path.
    if (this.slug !== undefined) headers.set(TENANT, this.slug)
    if (idempotencyKey && method !== 'GET') headers.set(IDEMPOTENCY_KEY, printable(idempotencyKey))
    if (ifMatch) headers.set('if-match', printable(ifMatch))
    if (text !== undefined) headers.set('content-type', 'application/json')
    const request = new Request(this.publicOrigin + path, {
      method,
      headers,
      signal: this.client.signal,
      ...(this.client.cf && { cf: this.client.cf as CfProperties }),
      ...(text !== undefined && { body: text }),
    })
    return this.inside(request, this.identity)
  }

  private async ask<T>(method: string, path: string, sending: Sending = {}): Promise<Answered<T>> {
    const response = await this.raw(method, path, sending)
    const { status, headers } = response
    const text = await response.text()
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    if (response.ok) return { ok: true, status, body: body as T, etag: headers.get('etag') ?? undefined }
    const retryAfter = headers.get('retry-after') ?? undefined
    return { ok: false, status, problem: body as ProblemDetails, retryAfter }
  }
}

/** A form's field may hold what no header can. */
const printable = (text: string): string => text.replace(/[^\x21-\x7e]/g, '?')
