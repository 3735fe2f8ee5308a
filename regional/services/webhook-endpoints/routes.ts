// /v1/webhook-endpoints: where an organisation's events are sent; /v1/deliveries: what became of each.
import { z } from 'zod'
import { newId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
import { jobKind, UNTIL_DONE } from '../../jobs/kind.ts'
import { callableUrl, type DevelopmentHosts } from '../../outbound/target.ts'
import { idSchema } from '../../schemas.ts'
import {
  invalidCursor,
  isLogPosition,
  listAsked,
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
  writeCursor,
} from '../../tenancy/service.ts'
import { boundTo, type EndpointRecord, isNewStart, type SealedSigner } from '../../webhooks/records.ts'
import { newSecrets, publicKeyOf } from '../../webhooks/signature.ts'
import { listMissed, recover } from './recovery.ts'
import { resume, resumeRest } from './resume.ts'
import {
  CreateEndpoint,
  Delivery,
  DeliveryWithAttempts,
  deliveryIdSchema,
  deliveryQuery,
  Endpoint,
  EndpointWithSecret,
  endpointId,
  Missed,
  missedQuery,
  Recover,
  RotateSecret,
  UpdateEndpoint,
} from './schema.ts'
import {
  addEndpoint,
  attemptsOf,
  clearSome,
  listDeliveries,
  listEndpoints,
  readDelivery,
  readEndpoint,
  removeEndpoint,
  sendAgain,
  sendTest,
  shownDelivery,
  shownEndpoint,
  writeEndpoint,
} from './store.ts'

export interface EndpointOptions {
  seal: { seal(text: string, bound: string): string }
  /** Hosts of a developer's own machine. */
  development: DevelopmentHosts
}

const TAG = 'Webhooks out'
const LIST = 'webhook-endpoints'
const DELIVERIES = 'deliveries'
const MISSED = 'missed'
/** Generations of secrets that sign at the same time. */
const MAX_SIGNERS = 5
const one = z.object({ id: endpointId })
const oneDelivery = z.object({ id: deliveryIdSchema })

const emptyWindow = (): Problem =>
  unfitBody([{ pointer: '/since', detail: 'is not before `until`, or before now' }])

/**
 * What is never shown goes to nobody else either, such as one whom a key that may change endpoints would have it sent to.
 * @throws {Problem} `validation_failed`
 */
function requireSameReceiver({ url, sealedHeaders }: EndpointRecord, href: string): void {
  if (sealedHeaders === null || new URL(href).origin === new URL(url).origin) return
  throw unfitBody([
    { pointer: '/headers', detail: 'is to be given again, or `{}`, where the URL leads to another host' },
  ])
}

/** Clears what an endpoint leaves behind. */
const clearEndpoint = jobKind<{ id: string }, { done: number }>({
  kind: 'webhook-endpoints.clear',
  service: 'webhook-endpoints',
  promised: true,
  retry: UNTIL_DONE,
  async step(tx, { payload: { id }, place = { done: 0 } }) {
    const { cleared, more } = await clearSome(tx, id)
    const done = place.done + cleared
    return more ? { next: { done }, done } : { finished: true, done }
  },
})

export function webhookEndpoints({ seal, development }: EndpointOptions): Service {
  const reply = async (tx: TenantTransaction, status: number, endpoint: EndpointRecord): Promise<Reply> => ({
    status,
    body: await shownEndpoint(tx, endpoint),
    headers: { etag: versionTag(endpoint) },
  })

  /** @throws {Problem} `validation_failed` */
  function callable(url: string): string {
    const href = callableUrl(url, development)
    if (href !== undefined) return href
    throw unfitBody([
      { pointer: '/url', detail: 'is not an https URL of a public host, without user or fragment' },
    ])
  }

  async function signerOf(
    tenant: TenantNumber,
    id: string,
    given: string | undefined,
  ): Promise<{ secret: string; signer: SealedSigner }> {
    const secrets = await newSecrets(given)
    const sealed = seal.seal(JSON.stringify(secrets), boundTo(tenant, id))
    return { secret: secrets.secret, signer: { sealed, publicKey: publicKeyOf(secrets), untilMs: null } }
  }

  const sealedHeaders = (tenant: TenantNumber, id: string, headers: Readonly<Record<string, string>>) => ({
    headerNames: Object.keys(headers),
    sealedHeaders:
      Object.keys(headers).length === 0 ? null : seal.seal(JSON.stringify(headers), boundTo(tenant, id)),
  })

  return {
    name: 'webhook-endpoints',
    mintsCredentials: true,
    jobKinds: [clearEndpoint, recover, resumeRest],
    operations: [
      tenantOperation({
        name: 'create',
        method: 'post',
        path: '/v1/webhook-endpoints',
        tag: TAG,
        summary: 'Add an endpoint: its secret is shown this once',
        scope: 'webhook-endpoints:write',
        body: CreateEndpoint,
        answers: { 201: EndpointWithSecret },
        problems: ['quota_exceeded'],
        async handle(tx, { body: { secret: given, headers, url, enabled, ...rest } }) {
          const { tenant, nowMs } = tx.context
          const id = newId('whe', nowMs)
          const { secret, signer } = await signerOf(tenant, id, given)
          const createdAt = new Date(nowMs).toISOString()
          const endpoint: EndpointRecord = {
            id,
            url: callable(url),
            ...rest,
            enabled,
            disabled: enabled ? null : { reason: 'asked', at: createdAt },
            ...sealedHeaders(tenant, id, headers),
            signers: [signer],
            createdAt,
            updatedAt: createdAt,
            version: 1,
          }
          await addEndpoint(tx, endpoint)
          return {
            status: 201,
            body: { ...(await shownEndpoint(tx, endpoint)), secret },
            headers: { location: `/v1/webhook-endpoints/${id}`, etag: versionTag(endpoint) },
          }
        },
      }),
      tenantOperation({
        name: 'list',
        method: 'get',
        path: '/v1/webhook-endpoints',
        tag: TAG,
        summary: 'List endpoints, oldest first',
        scope: 'webhook-endpoints:read',
        query: pageQuery,
        answers: { 200: pageOf(Endpoint) },
        async handle(tx, { query }) {
          const { entries, more } = await listEndpoints(tx, query.limit, readCursor(LIST, query.cursor))
          const endpoints = await Promise.all(entries.map(([, endpoint]) => shownEndpoint(tx, endpoint)))
          const listed = entries.map(([key], i) => [key, endpoints[i]] as const)
          return { status: 200, body: pageBody(LIST, { entries: listed, more }, (each) => each) }
        },
      }),
      tenantOperation({
        name: 'read',
        method: 'get',
        path: '/v1/webhook-endpoints/{id}',
        tag: TAG,
        summary: 'Read an endpoint',
        scope: 'webhook-endpoints:read',
        params: one,
        answers: { 200: Endpoint },
        handle: async (tx, { params }) => reply(tx, 200, await readEndpoint(tx, params.id)),
      }),
      tenantOperation({
        name: 'update',
        method: 'patch',
        path: '/v1/webhook-endpoints/{id}',
        tag: TAG,
        summary: 'Change an endpoint; disabled, its events are held',
        scope: 'webhook-endpoints:write',
        params: one,
        body: UpdateEndpoint,
        answers: { 200: Endpoint },
        problems: ['precondition_failed'],
        async handle(tx, { params, body: { url, headers, ...changes }, ifMatch }) {
          const before = await readEndpoint(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          const { nowMs, tenant } = tx.context
          const updatedAt = new Date(nowMs).toISOString()
          const enabled = changes.enabled ?? before.enabled
          const href = url === undefined ? before.url : callable(url)
          if (headers === undefined) requireSameReceiver(before, href)
          const after: EndpointRecord = {
            ...before,
            ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)),
            url: href,
            ...(headers !== undefined && sealedHeaders(tenant, before.id, headers)),
            disabled: enabled ? null : (before.disabled ?? { reason: 'asked', at: updatedAt }),
            updatedAt,
            version: before.version + 1,
          }
          await writeEndpoint(tx, before, after)
          if (isNewStart(before, after)) await resume(tx, after)
          return reply(tx, 200, after)
        },
      }),
      tenantOperation({
        name: 'delete',
        method: 'delete',
        path: '/v1/webhook-endpoints/{id}',
        tag: TAG,
        summary: 'Remove an endpoint; a job clears its deliveries',
        scope: 'webhook-endpoints:write',
        params: one,
        answers: { 204: null },
        problems: ['precondition_failed'],
        async handle(tx, { params, ifMatch }) {
          const before = await readEndpoint(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          await removeEndpoint(tx, before)
          tx.enqueue(clearEndpoint, { id: before.id })
          return { status: 204 }
        },
      }),
      tenantOperation({
        name: 'rotate',
        method: 'post',
        path: '/v1/webhook-endpoints/{id}/rotate',
        tag: TAG,
        summary: 'Give an endpoint new secrets; the old ones sign as well for a while',
        scope: 'webhook-endpoints:write',
        params: one,
        body: RotateSecret,
        answers: { 200: EndpointWithSecret },
        async handle(tx, { params, body: { overlapSeconds, secret: given } }) {
          const before = await readEndpoint(tx, params.id)
          const { nowMs, tenant } = tx.context
          const { secret, signer } = await signerOf(tenant, before.id, given)
          const untilMs = nowMs + overlapSeconds * 1_000
          const old = before.signers
            .map((each) => ({ ...each, untilMs: Math.min(each.untilMs ?? untilMs, untilMs) }))
            .filter((each) => each.untilMs > nowMs)
          const after: EndpointRecord = {
            ...before,
            signers: [signer, ...old].slice(0, MAX_SIGNERS),
            updatedAt: new Date(nowMs).toISOString(),
            version: before.version + 1,
          }
          await writeEndpoint(tx, before, after)
          return {
            status: 200,
            body: { ...(await shownEndpoint(tx, after)), secret },
            headers: { etag: versionTag(after) },
          }
        },
      }),
      tenantOperation({
        name: 'test',
        method: 'post',
        path: '/v1/webhook-endpoints/{id}/test',
        tag: TAG,
        summary: 'Send an event to try the endpoint out; its delivery tells how it went',
        scope: 'webhook-endpoints:write',
        params: one,
        answers: { 202: Delivery },
        async handle(tx, { params }) {
          const delivery = await sendTest(tx, await readEndpoint(tx, params.id))
          return {
            status: 202,
            body: shownDelivery(delivery),
            headers: { location: `/v1/deliveries/${delivery.id}` },
          }
        },
      }),
      tenantOperation({
        name: 'list-missed',
        method: 'get',
        path: '/v1/webhook-endpoints/{id}/missed',
        tag: TAG,
        summary: 'List events that the endpoint wants and has not got, oldest first',
        scope: 'webhook-endpoints:read',
        params: one,
        query: missedQuery,
        answers: { 200: pageOf(Missed) },
        async handle(tx, { params, query }) {
          const endpoint = await readEndpoint(tx, params.id)
          const list = listAsked(`${MISSED} ${endpoint.id}`, query)
          const after = readCursor(list, query.cursor)?.[0]
          if (after !== undefined && !isLogPosition(after)) throw invalidCursor()
          const window = {
            sinceMs: Date.parse(query.since ?? endpoint.createdAt),
            untilMs: query.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(query.until),
          }
          const { missed, next } = await listMissed(tx, endpoint, window, query.limit, after)
          const nextCursor = next === undefined ? null : writeCursor(list, next)
          return { status: 200, body: { data: missed, nextCursor } }
        },
      }),
      tenantOperation({
        name: 'recover',
        method: 'post',
        path: '/v1/webhook-endpoints/{id}/recover',
        tag: TAG,
        summary: 'Send again what the endpoint has missed',
        scope: 'webhook-endpoints:write',
        params: one,
        body: Recover,
        answers: { 202: z.object({ job: idSchema('job') }) },
        async handle(tx, { params, body: { since, until } }) {
          const endpoint = await readEndpoint(tx, params.id)
          const { nowMs } = tx.context
          const untilMs = until === undefined ? nowMs : Date.parse(until)
          const sinceMs = Date.parse(since)
          if (sinceMs >= untilMs) throw emptyWindow()
          tx.emit('webhook_endpoint.recovering', endpoint.id)
          const job = tx.enqueue(recover, { endpoint: endpoint.id, sinceMs, untilMs })
          return { status: 202, body: { job }, headers: { location: `/v1/jobs/${job}` } }
        },
      }),
      tenantOperation({
        name: 'list-deliveries',
        method: 'get',
        path: '/v1/deliveries',
        tag: TAG,
        summary: 'List deliveries, newest first',
        scope: 'webhook-endpoints:read',
        query: deliveryQuery,
        answers: { 200: pageOf(Delivery) },
        async handle(tx, { query }) {
          const list = listAsked(DELIVERIES, query)
          const after = readCursor(list, query.cursor)?.[0]
          const { deliveries, next } = await listDeliveries(tx, query, after)
          const nextCursor = next === undefined ? null : writeCursor(list, next)
          return { status: 200, body: { data: deliveries.map(shownDelivery), nextCursor } }
        },
      }),
      tenantOperation({
        name: 'read-delivery',
        method: 'get',
        path: '/v1/deliveries/{id}',
        tag: TAG,
        summary: 'Read a delivery with its attempts and what they were answered',
        scope: 'webhook-endpoints:read',
        params: oneDelivery,
        answers: { 200: DeliveryWithAttempts },
        async handle(tx, { params }) {
          const delivery = await readDelivery(tx, params.id)
          const attempts = await attemptsOf(tx, delivery)
          return { status: 200, body: { ...shownDelivery(delivery), attempts } }
        },
      }),
      tenantOperation({
        name: 'retry-delivery',
        method: 'post',
        path: '/v1/deliveries/{id}/retry',
        tag: TAG,
        summary: 'Send an event again, at once',
        scope: 'webhook-endpoints:write',
        params: oneDelivery,
        answers: { 202: Delivery },
        problems: ['conflict'],
        async handle(tx, { params }) {
          const delivery = await readDelivery(tx, params.id)
          const again = await sendAgain(tx, delivery)
          if (again === undefined) {
            throw new Problem(
              'conflict',
              delivery.test
                ? 'A test that has arrived is not kept: ask for another.'
                : 'The event is not kept any more.',
            )
          }
          return { status: 202, body: shownDelivery(again) }
        },
      }),
    ],
  }
}
