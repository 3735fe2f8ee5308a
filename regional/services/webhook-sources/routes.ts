// /v1/webhook-sources: third parties that send webhooks to the organisation; and where what they send comes in.
import { z } from 'zod'
import { HOOKS_PATH, MAX_HOOK_BYTES, RECEIVE_PATH } from '../../../shared/credentials/source_token.ts'
import { type Id, isId, newId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
import { jobKind, UNTIL_DONE } from '../../jobs/kind.ts'
import {
  pageBody,
  pageOf,
  pageQuery,
  type Reply,
  readCursor,
  requireMatch,
  type Service,
  type TenantTransaction,
  tenantOperation,
  unfitBody,
  versionTag,
} from '../../tenancy/service.ts'
import type { SourceRecord } from '../../tenancy/webhook_sources.ts'
import type { ModelAccess } from '../agents/models.ts'
import { agentRun } from './agent_run.ts'
import { forgetLater, sweep } from './forgetting.ts'
import { checkSignature } from './providers.ts'
import {
  CreatedSource,
  CreateSource,
  ReceivedWebhook,
  ReceivedWithBody,
  receivedId,
  Source,
  sourceId,
  UpdateSource,
  wrongSecret,
} from './schema.ts'
import {
  addSource,
  clearSome,
  keep,
  listReceived,
  listSources,
  readReceived,
  readSource,
  removeSource,
  repeated,
  secretsAt,
  shown,
  withSecret,
  writeSource,
} from './store.ts'

export interface SourceOptions {
  mint(tenant: TenantNumber, sourceId: Id<'whs'>): Promise<{ text: string; secretHash: string }>
  seal: { seal(text: string, bound: string): string; open(sealed: string, bound: string): string }
}

const LIST = 'webhook-sources'
const RECEIVED = 'received'
const one = z.object({ id: sourceId })
const ofSource = z.object({ sourceId })

/** A provider may go on with the secret of before for a while, or sends again what it has signed with it. */
const OVERLAP_SECONDS = 24 * 60 * 60

const boundTo = (tenant: TenantNumber, id: string): string => `webhook source ${tenant} ${id}`

/** Clears what a source leaves behind. */
const clearSource = jobKind<{ id: string }, { done: number }>({
  kind: 'webhook-sources.clear',
  service: 'webhook-sources',
  promised: true,
  retry: UNTIL_DONE,
  async step(tx, { payload: { id }, place = { done: 0 } }) {
    const { cleared, more } = await clearSome(tx, id)
    const done = place.done + cleared
    return more ? { next: { done }, done } : { finished: true, done }
  },
})

/** Whoever has an agent run, here as there, may run agents. */
function requireMayRun({ context }: TenantTransaction, agent: SourceRecord['agent']): void {
  if (!agent || allows(context.scopes, 'agents:write')) return
  throw new Problem('insufficient_scope', 'To have an agent run takes the scope agents:write.')
}

/** What comes of a webhook that is received: the event of it, those of the run that it begins, and of a job that fails. */
const CONSEQUENCE = /^(?:webhook|run|job)\./

/** Of the webhooks that led to one, one after the other: organisations that send to each other would do so without end. */
const MAX_HOPS = 3

interface Told {
  eventId: string | undefined
  type: string | undefined
  hops?: number | undefined
}

/** How many webhooks have led to this one: none, but where it is what came of one, here or at another organisation. */
function hopsOf({ provider }: SourceRecord, { eventId, type = '', hops = 1 }: Told): number {
  // Endpoints sign as no other provider does.
  const isEvent = provider === 'standard' && eventId !== undefined && isId('evt', eventId)
  return isEvent && CONSEQUENCE.test(type) ? hops : 0
}

/**
 * Of the organisation's own events, any may come in, to begin a run; but what has come of one that came in may not, or an
 * endpoint that leads here would feed itself. From others it may, a few times.
 */
async function isToEnd(
  { events }: TenantTransaction,
  hops: number,
  { eventId = '' }: Told,
): Promise<boolean> {
  if (hops === 0) return false
  return hops >= MAX_HOPS || (await events.find(eventId)) !== undefined
}

export function webhookSources({ mint, seal }: SourceOptions, models: ModelAccess): Service {
  const runAgent = agentRun(models)

  const reply = async (tx: TenantTransaction, status: number, source: SourceRecord): Promise<Reply> => ({
    status,
    body: await shown(tx, source, tx.context.nowMs),
    headers: { etag: versionTag(source) },
  })

  /** @throws {Problem} `validation_failed` */
  function sealed(tenant: TenantNumber, { id, provider }: SourceRecord, secret: string): string {
    const detail = wrongSecret(provider, secret)
    if (detail === undefined) return seal.seal(secret, boundTo(tenant, id))
    throw unfitBody([{ pointer: '/secret', detail }])
  }

  return {
    name: 'webhook-sources',
    mintsCredentials: true,
    jobKinds: [clearSource, sweep, runAgent],
    operations: [
      tenantOperation({
        name: 'create',
        method: 'post',
        path: '/v1/webhook-sources',
        tag: 'Webhooks in',
        summary: 'Add a source of webhooks: its URL is shown this once',
        scope: 'webhook-sources:write',
        body: CreateSource,
        answers: { 201: CreatedSource },
        problems: ['quota_exceeded'],
        async handle(tx, { body: { secret, ...given } }) {
          requireMayRun(tx, given.agent)
          const { tenant, nowMs, publicOrigin } = tx.context
          const id = newId('whs', nowMs)
          const token = await mint(tenant, id)
          const createdAt = new Date(nowMs).toISOString()
          const source: SourceRecord = {
            id,
            ...given,
            secretHash: token.secretHash,
            sealedSecret: seal.seal(secret, boundTo(tenant, id)),
            createdAt,
            updatedAt: createdAt,
            version: 1,
          }
          await addSource(tx, source)
          const url = `${publicOrigin ?? ''}${HOOKS_PATH}${token.text}`
          return {
            status: 201,
            body: { ...(await shown(tx, source, nowMs)), url },
            headers: { location: `/v1/webhook-sources/${id}`, etag: versionTag(source) },
          }
        },
      }),
      tenantOperation({
        name: 'list',
        method: 'get',
        path: '/v1/webhook-sources',
        tag: 'Webhooks in',
        summary: 'List sources, oldest first',
        scope: 'webhook-sources:read',
        query: pageQuery,
        answers: { 200: pageOf(Source) },
        async handle(tx, { query }) {
          const { entries, more } = await listSources(tx, query.limit, readCursor(LIST, query.cursor))
          const sources = await Promise.all(entries.map(([, source]) => shown(tx, source, tx.context.nowMs)))
          const listed = entries.map(([key], i) => [key, sources[i]] as const)
          return { status: 200, body: pageBody(LIST, { entries: listed, more }, (each) => each) }
        },
      }),
      tenantOperation({
        name: 'read',
        method: 'get',
        path: '/v1/webhook-sources/{id}',
        tag: 'Webhooks in',
        summary: 'Read a source',
        scope: 'webhook-sources:read',
        params: one,
        answers: { 200: Source },
        handle: async (tx, { params }) => reply(tx, 200, await readSource(tx, params.id)),
      }),
      tenantOperation({
        name: 'update',
        method: 'patch',
        path: '/v1/webhook-sources/{id}',
        tag: 'Webhooks in',
        summary: 'Change a source, its secret too',
        scope: 'webhook-sources:write',
        params: one,
        body: UpdateSource,
        answers: { 200: Source },
        problems: ['precondition_failed'],
        async handle(tx, { params, body, ifMatch }) {
          const before = await readSource(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          requireMayRun(tx, body.agent)
          const { nowMs, tenant } = tx.context
          const { secret, overlapSeconds = OVERLAP_SECONDS } = body
          const secretOf =
            secret === undefined
              ? before
              : withSecret(before, sealed(tenant, before, secret), nowMs, overlapSeconds * 1_000)
          const after: SourceRecord = {
            ...secretOf,
            name: body.name ?? before.name,
            eventTypes: body.eventTypes ?? before.eventTypes,
            agent: body.agent === undefined ? (before.agent ?? null) : body.agent,
            updatedAt: new Date(nowMs).toISOString(),
            version: before.version + 1,
          }
          writeSource(tx, after)
          return reply(tx, 200, after)
        },
      }),
      tenantOperation({
        name: 'delete',
        method: 'delete',
        path: '/v1/webhook-sources/{id}',
        tag: 'Webhooks in',
        summary: 'Remove a source; a job clears what it has sent',
        scope: 'webhook-sources:write',
        params: one,
        answers: { 204: null },
        problems: ['precondition_failed'],
        async handle(tx, { params, ifMatch }) {
          const before = await readSource(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          await removeSource(tx, before)
          tx.enqueue(clearSource, { id: before.id })
          return { status: 204 }
        },
      }),
      tenantOperation({
        name: 'list-received',
        method: 'get',
        path: '/v1/webhook-sources/{sourceId}/received',
        tag: 'Webhooks in',
        summary: 'List what a source has sent, newest first',
        scope: 'webhook-sources:read',
        params: ofSource,
        query: pageQuery,
        answers: { 200: pageOf(ReceivedWebhook) },
        async handle(tx, { params, query }) {
          await readSource(tx, params.sourceId)
          const list = `${RECEIVED} ${params.sourceId}`
          const after = readCursor(list, query.cursor)
          const page = await listReceived(tx, params.sourceId, query.limit, after)
          return { status: 200, body: pageBody(list, page, (each) => each) }
        },
      }),
      tenantOperation({
        name: 'read-received',
        method: 'get',
        path: '/v1/webhook-sources/{sourceId}/received/{id}',
        tag: 'Webhooks in',
        summary: 'Read one webhook, as it was sent',
        scope: 'webhook-sources:read',
        params: ofSource.extend({ id: receivedId }),
        answers: { 200: ReceivedWithBody },
        async handle(tx, { params }) {
          await readSource(tx, params.sourceId)
          const { webhook, body } = await readReceived(tx, params.sourceId, params.id)
          const text = body.toString('utf8')
          const plain = Buffer.from(text).equals(body)
          return {
            status: 200,
            body: {
              ...webhook,
              body: plain ? text : body.toString('base64'),
              encoding: plain ? 'utf-8' : 'base64',
            },
          }
        },
      }),
      tenantOperation({
        name: 'receive',
        method: 'post',
        path: RECEIVE_PATH,
        tag: 'Webhooks in',
        summary: 'What a third party sends',
        scope: 'webhook-sources:write',
        speakers: ['webhook_source'],
        takesBytes: true,
        answers: { 200: z.object({ id: receivedId.nullable() }) },
        problems: ['signature_invalid'],
        async handle(tx, { sent }) {
          const { principal, nowMs, tenant } = tx.context
          if (principal.kind !== 'webhook_source') throw new Error('only a source sends')
          const source = await readSource(tx, principal.sourceId)
          if (sent.body.length > MAX_HOOK_BYTES) {
            throw new Problem('body_too_large', `A webhook has at most ${MAX_HOOK_BYTES} bytes.`)
          }
          const secrets = secretsAt(source, nowMs).map((each) => seal.open(each, boundTo(tenant, source.id)))
          const verdict = checkSignature(source.provider, secrets, sent, nowMs)
          // Counted with other refusals: whoever only knows the URL has nothing written for each that they send.
          if (verdict.outcome === 'forged') {
            throw new Problem('signature_invalid', 'The signature is wrong or missing.')
          }
          if (verdict.outcome === 'stale') {
            throw new Problem('signature_invalid', 'It was signed at another time.')
          }
          if (verdict.challenge !== undefined) {
            return { status: 200, body: { challenge: verdict.challenge } }
          }
          // Its sender has done nothing wrong, and would try again.
          const before = hopsOf(source, verdict)
          if (await isToEnd(tx, before, verdict)) return { status: 200, body: { id: null } }
          const hops = before === 0 ? undefined : before + 1
          const genuine = { source, eventId: verdict.eventId, type: verdict.type, body: sent.body, hops }
          const known = await repeated(tx, genuine)
          if (known !== undefined) return { status: 200, body: { id: known } }
          const { id } = await keep(tx, genuine)
          await forgetLater(tx, [source.id, id], nowMs)
          if (source.agent) {
            tx.enqueue(runAgent, { ...source.agent, sourceId: source.id, webhookId: id }, { hops })
          }
          return { status: 200, body: { id } }
        },
      }),
    ],
  }
}
