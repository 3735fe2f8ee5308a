// Sources as they are kept, and what they sent. Of each webhook marks are kept, by the provider's own id and, where the
// provider does not sign that, by what it signs: so one that comes again is known, whichever of them is the same.
import { createHash } from 'node:crypto'
import { type Id, newId } from '../../../shared/ids.ts'
import {
  chunkedSpace,
  jsonSpace,
  notFound,
  type Page,
  type TenantTransaction,
} from '../../tenancy/service.ts'
import { type SourceRecord, sourceCounts, sourceSpace } from '../../tenancy/webhook_sources.ts'
import type { ReceivedWebhook, Source } from './schema.ts'

const seen = jsonSpace<[sourceId: string, by: 'id' | 'body', digest: Buffer], Id<'del'>>('seen')
const received = jsonSpace<[sourceId: string, id: string], ReceivedWebhook>('received')
const bodies = chunkedSpace<[sourceId: string, id: string]>('body')

const digestOf = (value: string | Uint8Array): Buffer =>
  createHash('sha256').update(value).digest().subarray(0, 16)

/** Shopify sends the same body for several topics, such as `orders/create` and `orders/paid`: each is a webhook of its own. */
const bodyMark = ({ provider }: SourceRecord, type: string | null | undefined, body: Uint8Array): Buffer =>
  digestOf(provider === 'shopify' ? Buffer.concat([Buffer.from(`${type ?? ''}\n`), body]) : body)

/** Whether its id is signed with the body, as Standard Webhooks has it: another one is another webhook, whatever it says. */
const isSignedId = ({ provider }: SourceRecord, eventId: string | null | undefined): boolean =>
  provider === 'standard' && typeof eventId === 'string'

type Reading = Pick<TenantTransaction, 'space' | 'counters'>

export async function addSource(tx: TenantTransaction, source: SourceRecord): Promise<void> {
  await tx.take('webhookSources', 1)
  tx.space(sourceSpace).set([source.id], source)
  tx.emit('webhook_source.created', source.id)
}

/** @throws {Problem} `not_found` */
export async function readSource(tx: Pick<TenantTransaction, 'space'>, id: string): Promise<SourceRecord> {
  const source = await tx.space(sourceSpace).get([id])
  if (source === undefined) throw notFound()
  return source
}

/** Secrets of before that hold with a new one: whoever changes it often has no more of them. */
const MAX_FORMER = 2

/** The source with another secret, those of before for so long and no longer than was said already. */
export function withSecret(
  source: SourceRecord,
  sealedSecret: string,
  nowMs: number,
  overlapMs: number,
): SourceRecord {
  const untilMs = nowMs + overlapMs
  const former = [{ sealedSecret: source.sealedSecret, untilMs }, ...(source.former ?? [])]
    .map((each) => ({ ...each, untilMs: Math.min(each.untilMs, untilMs) }))
    .filter((each) => each.untilMs > nowMs)
  return { ...source, sealedSecret, former: former.slice(0, MAX_FORMER) }
}

/** Sealed, the newest first. */
export const secretsAt = ({ sealedSecret, former = [] }: SourceRecord, nowMs: number): string[] => [
  sealedSecret,
  ...former.filter(({ untilMs }) => untilMs > nowMs).map((each) => each.sealedSecret),
]

export async function shown(tx: Reading, source: SourceRecord, nowMs: number): Promise<Source> {
  const { secretHash: _, sealedSecret: __, version: ___, agent = null, former = [], ...rest } = source
  const untilMs = Math.max(0, ...former.map((each) => each.untilMs))
  const formerSecretUntil = untilMs > nowMs ? new Date(untilMs).toISOString() : null
  const count = (what: 'received' | 'rejected') => tx.counters(sourceCounts).peek([source.id, what])
  const [taken, rejected] = await Promise.all([count('received'), count('rejected')])
  return { ...rest, agent, formerSecretUntil, received: taken ?? 0, rejected: rejected ?? 0 }
}

export const listSources = (
  tx: Reading,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], SourceRecord>> => tx.space(sourceSpace).page({ limit, after })

export function writeSource(tx: TenantTransaction, source: SourceRecord): void {
  tx.space(sourceSpace).set([source.id], source)
  tx.emit('webhook_source.updated', source.id)
}

export async function removeSource(tx: TenantTransaction, { id }: SourceRecord): Promise<void> {
  await tx.take('webhookSources', -1)
  tx.space(sourceSpace).clear([id])
  tx.emit('webhook_source.deleted', id)
}

export interface Genuine {
  source: SourceRecord
  eventId: string | undefined
  type: string | undefined
  body: Uint8Array
  /** Webhooks that have led to it, and itself; undefined where none have. */
  hops: number | undefined
}

/** The webhook that this one is a repetition of. */
export async function repeated(
  tx: Pick<TenantTransaction, 'space'>,
  { source, eventId, type, body }: Genuine,
): Promise<Id<'del'> | undefined> {
  const [byId, byBody] = await Promise.all([
    eventId === undefined ? undefined : tx.space(seen).get([source.id, 'id', digestOf(eventId)]),
    isSignedId(source, eventId)
      ? undefined
      : tx.space(seen).get([source.id, 'body', bodyMark(source, type, body)]),
  ])
  return byId ?? byBody
}

/** What the source's owner calls it. The provider's word is anybody's: `constructor` is no event type of theirs. */
function typeOf({ eventTypes }: SourceRecord, type: string | undefined): string {
  const named = [type ?? '', '*'].find((name) => Object.hasOwn(eventTypes, name))
  return (named === undefined ? type : eventTypes[named]) ?? 'unknown'
}

/** @throws {Problem} `quota_exceeded` */
export async function keep(
  tx: TenantTransaction,
  { source, eventId, type, body, hops }: Genuine,
): Promise<ReceivedWebhook> {
  const { nowMs } = tx.context
  await tx.take('storedBytes', body.length)
  const id = newId('del', nowMs)
  const webhook: ReceivedWebhook = {
    id,
    sourceId: source.id,
    type: typeOf(source, type),
    providerType: type ?? null,
    providerEventId: eventId ?? null,
    bytes: body.length,
    receivedAt: new Date(nowMs).toISOString(),
  }
  tx.space(received).set([source.id, id], webhook)
  tx.chunked(bodies).set([source.id, id], Buffer.from(body))
  if (eventId !== undefined) tx.space(seen).set([source.id, 'id', digestOf(eventId)], id)
  if (!isSignedId(source, eventId)) tx.space(seen).set([source.id, 'body', bodyMark(source, type, body)], id)
  tx.counters(sourceCounts).add([source.id, 'received'], 1)
  tx.emit('webhook.received', id, {
    ...{ source: source.id, provider: source.provider, type: webhook.type },
    ...(hops !== undefined && { hops }),
  })
  return webhook
}

/** The newest first. */
export async function listReceived(
  tx: Pick<TenantTransaction, 'space'>,
  sourceId: string,
  limit: number,
  after: [id: string] | undefined,
): Promise<{ entries: ReadonlyArray<readonly [id: [string], value: ReceivedWebhook]>; more: boolean }> {
  const { entries, more } = await tx
    .space(received)
    .page({ under: [sourceId], limit, reverse: true, after: after && [sourceId, after[0]] })
  return { entries: entries.map(([[, id], webhook]) => [[id], webhook] as const), more }
}

/** @throws {Problem} `not_found` */
export async function readReceived(
  tx: Pick<TenantTransaction, 'space' | 'chunked'>,
  sourceId: string,
  id: string,
): Promise<{ webhook: ReceivedWebhook; body: Buffer }> {
  const [webhook, body] = await Promise.all([
    tx.space(received).get([sourceId, id]),
    tx.chunked(bodies).get([sourceId, id]),
  ])
  if (webhook === undefined) throw notFound()
  return { webhook, body: body ?? Buffer.alloc(0) }
}

/** Forgets one, and by what it would be known again. */
export async function clearReceived(
  tx: Pick<TenantTransaction, 'space' | 'chunked' | 'take'>,
  sourceId: string,
  id: string,
): Promise<void> {
  const key: [string, string] = [sourceId, id]
  const [source, webhook, body] = await Promise.all([
    tx.space(sourceSpace).get([sourceId]),
    tx.space(received).get(key),
    tx.chunked(bodies).get(key),
  ])
  if (webhook === undefined) return
  tx.space(received).clear(key)
  tx.chunked(bodies).clear(key)
  if (webhook.providerEventId !== null) {
    tx.space(seen).clear([sourceId, 'id', digestOf(webhook.providerEventId)])
  }
  // All marks of a source that was removed are cleared with it.
  if (source !== undefined && body !== undefined) {
    tx.space(seen).clear([sourceId, 'body', bodyMark(source, webhook.providerType, body)])
    // Earlier versions kept this one for every provider, and the one above.
    tx.space(seen).clear([sourceId, 'body', digestOf(body)])
  }
  await tx.take('storedBytes', -webhook.bytes)
}

const CLEARED_AT_A_TIME = 200

/** Clears some of what a source that was removed has sent. */
export async function clearSome(
  tx: Pick<TenantTransaction, 'space' | 'chunked' | 'counters' | 'take'>,
  sourceId: string,
): Promise<{ cleared: number; more: boolean }> {
  const [page, marks] = await Promise.all([
    tx.space(received).page({ under: [sourceId], limit: CLEARED_AT_A_TIME }),
    tx.space(seen).page({ under: [sourceId], limit: 2 * CLEARED_AT_A_TIME }),
  ])
  let bytes = 0
  for (const [key, webhook] of page.entries) {
    tx.space(received).clear(key)
    tx.chunked(bodies).clear(key)
    bytes += webhook.bytes
  }
  for (const [key] of marks.entries) tx.space(seen).clear(key)
  for (const what of ['received', 'rejected'] as const) tx.counters(sourceCounts).clear([sourceId, what])
  if (bytes > 0) await tx.take('storedBytes', -bytes)
  return { cleared: page.entries.length, more: page.more || marks.more }
}
