// /v1/identity-providers: the OpenID issuers whose tokens the organisation takes.
import { z } from 'zod'
import type { ProviderRecord } from '../../tenancy/records.ts'
import {
  pageBody,
  pageOf,
  pageQuery,
  type Reply,
  readCursor,
  requireMatch,
  type Service,
  tenantOperation,
  versionTag,
} from '../../tenancy/service.ts'
import { createIdentityProvider, IdentityProvider, providerId, UpdateIdentityProvider } from './schema.ts'
import {
  createProvider,
  deleteProvider,
  listProviders,
  readProvider,
  type Seal,
  updateProvider,
} from './store.ts'

const LIST = 'identity-providers'
const one = z.object({ id: providerId })

const shown = ({
  version: _,
  sealedClientSecret,
  clientId = null,
  ...provider
}: ProviderRecord): IdentityProvider => ({
  ...provider,
  clientId,
  hasClientSecret: Boolean(sealedClientSecret),
  roleMapping: { ...provider.roleMapping },
  allowedEmailDomains: provider.allowedEmailDomains && [...provider.allowedEmailDomains],
})

const reply = (status: number, provider: ProviderRecord, headers: Record<string, string> = {}): Reply => ({
  status,
  body: shown(provider),
  headers: { etag: versionTag(provider), ...headers },
})

/** @param development whether issuers of this machine may be registered */
export const identityProviders = (development: boolean, seal: Seal): Service => ({
  name: 'identity-providers',
  mintsCredentials: true,
  operations: [
    tenantOperation({
      name: 'create',
      method: 'post',
      path: '/v1/identity-providers',
      tag: 'Identity providers',
      summary: 'Take the tokens of an OpenID issuer',
      scope: 'identity-providers:write',
      body: createIdentityProvider(development),
      answers: { 201: IdentityProvider },
      problems: ['quota_exceeded'],
      async handle(tx, { body }) {
        const provider = await createProvider(tx, body, seal)
        return reply(201, provider, { location: `/v1/identity-providers/${provider.id}` })
      },
    }),
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/identity-providers',
      tag: 'Identity providers',
      summary: 'List identity providers, oldest first',
      scope: 'identity-providers:read',
      query: pageQuery,
      answers: { 200: pageOf(IdentityProvider) },
      async handle(tx, { query }) {
        const page = await listProviders(tx, query.limit, readCursor(LIST, query.cursor))
        return { status: 200, body: pageBody(LIST, page, shown) }
      },
    }),
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/identity-providers/{id}',
      tag: 'Identity providers',
      summary: 'Read an identity provider',
      scope: 'identity-providers:read',
      params: one,
      answers: { 200: IdentityProvider },
      handle: async (tx, { params }) => reply(200, await readProvider(tx, params.id)),
    }),
    tenantOperation({
      name: 'update',
      method: 'patch',
      path: '/v1/identity-providers/{id}',
      tag: 'Identity providers',
      summary: 'Change an identity provider',
      scope: 'identity-providers:write',
      params: one,
      body: UpdateIdentityProvider,
      answers: { 200: IdentityProvider },
      problems: ['precondition_failed'],
      async handle(tx, { params, body, ifMatch }) {
        const before = await readProvider(tx, params.id)
        requireMatch(ifMatch, versionTag(before))
        return reply(200, await updateProvider(tx, before, body, seal))
      },
    }),
    tenantOperation({
      name: 'delete',
      method: 'delete',
      path: '/v1/identity-providers/{id}',
      tag: 'Identity providers',
      summary: 'Take no more tokens of an issuer: the next one is refused',
      scope: 'identity-providers:write',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed'],
      async handle(tx, { params, ifMatch }) {
        const before = await readProvider(tx, params.id)
        requireMatch(ifMatch, versionTag(before))
        await deleteProvider(tx, before)
        return { status: 204 }
      },
    }),
  ],
})
