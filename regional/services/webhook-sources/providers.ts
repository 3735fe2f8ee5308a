// How each provider signs what it sends, checked over the raw bytes. Pure: what it comes to is a verdict. Standard Webhooks
// (standardwebhooks.com), and Stripe's, GitHub's, Slack's and Shopify's own documentation.
import { createHmac, timingSafeEqual } from 'node:crypto'

export const PROVIDERS = ['standard', 'stripe', 'github', 'slack', 'shopify', 'hmac'] as const
export type Provider = (typeof PROVIDERS)[number]

/** What came: a header by its lower-case name, and the body as it was sent. */
export interface Received {
  header(name: string): string | undefined
  body: Uint8Array
}

export type SignatureVerdict =
  | {
      outcome: 'genuine'
      /** The provider's own id of the event, where it has one. */
      eventId: string | undefined
      /** What the provider calls it. */
      type: string | undefined
      /** Of a platform such as this one: how many webhooks have led to it. */
      hops?: number | undefined
      /** Slack asks for it back, once, when the URL is registered. */
      challenge?: string
    }
  /** Signed, but more than five minutes ago or ahead. */
  | { outcome: 'stale' }
  | { outcome: 'forged' }

const TOLERANCE_MS = 5 * 60_000
const FORGED: SignatureVerdict = { outcome: 'forged' }

const mac = (secret: string | Uint8Array, ...parts: ReadonlyArray<string | Uint8Array>): Buffer => {
  const hmac = createHmac('sha256', secret)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

function same(expected: Buffer, given: string | undefined, encoding: 'hex' | 'base64'): boolean {
  if (given === undefined) return false
  const bytes = Buffer.from(given, encoding)
  // What decodes but would not encode to itself is none.
  if (bytes.toString(encoding) !== given || bytes.length !== expected.length) return false
  return timingSafeEqual(bytes, expected)
}

const isTimely = (seconds: string | undefined, nowMs: number): boolean =>
  /^\d{1,12}$/.test(seconds ?? '') && Math.abs(Number(seconds) * 1_000 - nowMs) <= TOLERANCE_MS

function jsonOf(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const textIn = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= 512 ? value : undefined

function hopsIn(data: unknown): number | undefined {
  const { hops } = (data ?? {}) as { hops?: unknown }
  return typeof hops === 'number' && hops > 0 ? hops : undefined
}

/** The bytes of a `whsec_` secret. */
export function standardSecret(secret: string): Buffer {
  return Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
}

type Check = (secret: string, received: Received, nowMs: number) => SignatureVerdict

const CHECKS: Readonly<Record<Provider, Check>> = {
  standard(secret, { header, body }, nowMs) {
    const [id, time] = [header('webhook-id'), header('webhook-timestamp')]
    if (id === undefined || time === undefined) return FORGED
    const expected = mac(standardSecret(secret), `${id}.${time}.`, body)
    const signatures = (header('webhook-signature') ?? '').split(' ').slice(0, 10)
    const genuine = signatures.some(
      (each) => each.startsWith('v1,') && same(expected, each.slice(3), 'base64'),
    )
    if (!genuine) return FORGED
    if (!isTimely(time, nowMs)) return { outcome: 'stale' }
    const { type, data } = jsonOf(body)
    return { outcome: 'genuine', eventId: id, type: textIn(type), hops: hopsIn(data) }
  },
  stripe(secret, { header, body }, nowMs) {
    const parts = (header('stripe-signature') ?? '').split(',').map((part) => part.trim().split('='))
    const time = parts.find(([name]) => name === 't')?.[1]
    if (time === undefined) return FORGED
    const expected = mac(secret, `${time}.`, body)
    const signatures = parts.filter(([name]) => name === 'v1').slice(0, 10)
    if (!signatures.some(([, each]) => same(expected, each, 'hex'))) return FORGED
    if (!isTimely(time, nowMs)) return { outcome: 'stale' }
    const { id, type } = jsonOf(body)
    return { outcome: 'genuine', eventId: textIn(id), type: textIn(type) }
  },
  github(secret, { header, body }) {
    const given = header('x-hub-signature-256')
    if (!given?.startsWith('sha256=') || !same(mac(secret, body), given.slice(7), 'hex')) return FORGED
    return { outcome: 'genuine', eventId: header('x-github-delivery'), type: header('x-github-event') }
  },
  slack(secret, { header, body }, nowMs) {
    const [time, given] = [header('x-slack-request-timestamp'), header('x-slack-signature')]
    if (time === undefined || !given?.startsWith('v0=')) return FORGED
    if (!same(mac(secret, `v0:${time}:`, body), given.slice(3), 'hex')) return FORGED
    if (!isTimely(time, nowMs)) return { outcome: 'stale' }
    const { type, challenge, event_id, event } = jsonOf(body)
    const inner = (event ?? {}) as { type?: unknown }
    return {
      outcome: 'genuine',
      eventId: textIn(event_id),
      type: textIn(inner.type) ?? textIn(type),
      ...(type === 'url_verification' && typeof challenge === 'string' && { challenge }),
    }
  },
  shopify(secret, { header, body }) {
    if (!same(mac(secret, body), header('x-shopify-hmac-sha256'), 'base64')) return FORGED
    return {
      outcome: 'genuine',
      eventId: header('x-shopify-webhook-id'),
      type: header('x-shopify-topic'),
    }
  },
  hmac(secret, { header, body }) {
    // Many write their own: hexadecimal, by RFC 4648 in capitals.
    const given = header('x-signature')
      ?.replace(/^sha256=/, '')
      .toLowerCase()
    if (!same(mac(secret, body), given, 'hex')) return FORGED
    return { outcome: 'genuine', eventId: header('x-event-id'), type: header('x-event-type') }
  },
}

/** Longer ones are no event types of anybody's. */
const MAX_TYPE = 200

/** @param secrets any of which it may be signed with */
export function checkSignature(
  provider: Provider,
  secrets: ReadonlyArray<string>,
  received: Received,
  nowMs: number,
): SignatureVerdict {
  let verdict = FORGED
  for (const secret of secrets) {
    verdict = CHECKS[provider](secret, received, nowMs)
    if (verdict.outcome !== 'forged') break
  }
  if (verdict.outcome !== 'genuine') return verdict
  // An empty one says nothing: whatever else has none is another webhook.
  const eventId = verdict.eventId || undefined
  const type = verdict.type?.slice(0, MAX_TYPE).toWellFormed() || undefined
  return { ...verdict, eventId, type }
}
