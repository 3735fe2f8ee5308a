// /v1/api-keys
import { z } from 'zod'
import { Problem } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { Mint } from '../../tenancy/mint.ts'
import type { CredentialRecord } from '../../tenancy/records.ts'
import {
  pageBody,
  pageOf,
  pageQuery,
  type Reply,
  readCursor,
  requireMatch,
  type Service,
  type TenantTransaction,
  tagOf,
  tenantOperation,
} from '../../tenancy/service.ts'
import { ApiKey, CreateApiKey, CreatedApiKey, keyId, RotateApiKey } from './schema.ts'
import { addKey, endOf, lastUsed, listKeys, readKey, replaceKey, revokeKey, succeedKey } from './store.ts'

const LIST = 'api-keys'
const one = z.object({ id: keyId })

const shown = (
  { id, name, scopes, createdAt, createdBy = null, expiresAt }: CredentialRecord,
  usedMs?: number,
): ApiKey => ({
  id,
  name,
  scopes: [...scopes],
  createdAt,
  createdBy,
  expiresAt,
  lastUsedAt: usedMs === undefined ? null : new Date(usedMs).toISOString(),
})

/** Of what changes it: when it was used is no part of that. */
const etagOf = (key: CredentialRecord): string => tagOf(shown(key))

/** With its text, this once. */
const made = (key: CredentialRecord, text: string): Reply => ({
  status: 201,
  body: { ...shown(key), key: text },
  headers: { location: `/v1/api-keys/${key.id}`, etag: etagOf(key) },
})

/** @throws {Problem} `insufficient_scope` */
function mayGive(granted: ReadonlyArray<string>, scopes: ReadonlyArray<string>): void {
  const beyond = scopes.filter((scope) => !allows(granted, scope))
  if (beyond.length === 0) return
  throw new Problem('insufficient_scope', `A key cannot give what it does not have: ${beyond.join(', ')}.`)
}

/**
 * A key ends what it could have made, and itself. A person ends any that there is: whoever finds one that has leaked, and may
 * write keys, waits for nobody.
 * @throws {Problem} `insufficient_scope`
 */
function mayEnd(
  { principal, scopes }: TenantTransaction['context'],
  { id, scopes: ended }: CredentialRecord,
): void {
  if (principal.kind !== 'api_key' || principal.keyId === id) return
  if (ended.every((scope) => allows(scopes, scope))) return
  throw new Problem('insufficient_scope', 'A key cannot revoke another one that may do more than itself.')
}

export const apiKeys = (mint: Mint): Service => ({
  name: 'api-keys',
  mintsCredentials: true,
  operations: [
    tenantOperation({
      name: 'create',
      method: 'post',
      path: '/v1/api-keys',
      tag: 'API keys',
      summary: 'Create an API key',
      scope: 'api-keys:write',
      body: CreateApiKey,
      answers: { 201: CreatedApiKey },
      problems: ['quota_exceeded'],
      async handle(tx, { body }) {
        const { tenant, scopes, nowMs } = tx.context
        mayGive(scopes, body.scopes)
        const expiresAt = body.expiresAt && new Date(body.expiresAt).toISOString()
        const createdBy = await tx.issuers.own()
        const { text, record } = await mint({ tenant, ...body, expiresAt, createdBy, nowMs })
        await addKey(tx, record)
        return made(record, text)
      },
    }),
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/api-keys',
      tag: 'API keys',
      summary: 'List live API keys, oldest first',
      scope: 'api-keys:read',
      query: pageQuery,
      answers: { 200: pageOf(ApiKey) },
      async handle(tx, { query }) {
        const page = await listKeys(tx, query.limit, readCursor(LIST, query.cursor))
        const uses = new Map(
          await Promise.all(page.entries.map(async ([[id]]) => [id, await lastUsed(tx, id)] as const)),
        )
        return { status: 200, body: pageBody(LIST, page, (key) => shown(key, uses.get(key.id))) }
      },
    }),
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/api-keys/{id}',
      tag: 'API keys',
      summary: 'Read a live API key, without its secret',
      scope: 'api-keys:read',
      params: one,
      answers: { 200: ApiKey },
      async handle(tx, { params }) {
        const [key, usedMs] = await Promise.all([readKey(tx, params.id), lastUsed(tx, params.id)])
        return { status: 200, body: shown(key, usedMs), headers: { etag: etagOf(key) } }
      },
    }),
    tenantOperation({
      name: 'rotate',
      method: 'post',
      path: '/v1/api-keys/{id}/rotate',
      tag: 'API keys',
      summary: 'Put a new key in the place of one, which holds for a while yet',
      scope: 'api-keys:write',
      params: one,
      body: RotateApiKey,
      answers: { 201: CreatedApiKey },
      problems: ['quota_exceeded', 'precondition_failed'],
      async handle(tx, { params, body: { overlapSeconds }, ifMatch }) {
        const { tenant, scopes, nowMs } = tx.context
        const old = await readKey(tx, params.id)
        requireMatch(ifMatch, etagOf(old))
        mayGive(scopes, old.scopes)
        if (old.expiresAt !== null && Date.parse(old.expiresAt) <= nowMs) {
          throw new Problem(
            'conflict',
            'The key has expired, so nothing takes its place. Create another one.',
          )
        }
        const { name, scopes: given, createdBy = null } = old
        const { text, record } = await mint({
          ...{ tenant, name, scopes: given, expiresAt: endOf(old), createdBy, nowMs },
        })
        if (overlapSeconds === 0) {
          await replaceKey(tx, old, record)
        } else {
          await succeedKey(tx, old, record, nowMs + overlapSeconds * 1000)
        }
        return made(record, text)
      },
    }),
    tenantOperation({
      name: 'revoke',
      method: 'delete',
      path: '/v1/api-keys/{id}',
      tag: 'API keys',
      summary: 'Revoke an API key: its next request is refused',
      scope: 'api-keys:write',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed'],
      async handle(tx, { params, ifMatch }) {
        const key = await readKey(tx, params.id)
        mayEnd(tx.context, key)
        requireMatch(ifMatch, etagOf(key))
        await revokeKey(tx, params.id)
        return { status: 204 }
      },
    }),
  ],
})
