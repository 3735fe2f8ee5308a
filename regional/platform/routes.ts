// /platform/v1: the operator's control plane.
import { z } from 'zod'
import { MAX_LINK_SECONDS, MIN_LINK_SECONDS } from '../../shared/admin_link.ts'
import { PLAN_NAMES } from '../../shared/plans.ts'
import type { OperatorPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import {
  parseTenantNumber,
  SETTABLE_STATUSES,
  type TenantNumber,
  tenantId,
  tenantNumberOf,
} from '../../shared/tenant.ts'
import { pageBody, readCursor } from '../cursor.ts'
import { notFound, pageOf, pageQuery, type Reply } from '../operation.ts'
import { changesSomething, idSchema, nameSchema, newSlugSchema, timeSchema } from '../schemas.ts'
import { Tenant, UpdateLimits } from '../services/tenant/schema.ts'
import { Usage, usageQuery, windowOf } from '../services/usage/schema.ts'
import type { Verified } from '../tenancy/verify.ts'
import { REPLAYED } from '../tenancy/write_once.ts'
import type { Calls, Described } from './calls.ts'
import { capacityOperations } from './capacity_routes.ts'
import { listByCost } from './cost_order.ts'
import { describeAll } from './describe.ts'
import type { Directory } from './directory.ts'
import { shownErasure, TenantErasure } from './erasure.ts'
import { noisyOperation } from './noisy_route.ts'
import { type OperatorOperation, operatorOperation } from './operation.ts'
import { requestOf } from './operator_requests.ts'
import type { TenantProvisioner } from './provisioning.ts'

const LIST = 'tenants'
const one = z.object({ id: idSchema('ten') })

const CreateTenant = z
  .strictObject({
    slug: newSlugSchema,
    name: nameSchema,
    region: z.string(),
    plan: z.enum(PLAN_NAMES).default('free'),
    owner: z.strictObject({ email: z.email().max(254) }),
  })
  .meta({ id: 'CreateTenant' })

const CreatedTenant = z
  .object({
    tenant: Tenant,
    apiKey: z.object({ id: idSchema('key'), key: z.string().meta({ description: 'Shown this once.' }) }),
    adminLink: z.object({
      url: z.url().meta({ description: 'Lets the owner into the console, once.' }),
      expiresAt: timeSchema,
    }),
  })
  .meta({ id: 'CreatedTenant' })

/** A day: it goes by mail, mostly. */
const OWNER_LINK_SECONDS = 24 * 60 * 60

const CreateOwnerLink = z
  .strictObject({
    email: z.email().max(254).optional().meta({
      description: 'The address of an owner; otherwise it is for the one who has been a member longest.',
    }),
    expiresIn: z
      .int()
      .min(MIN_LINK_SECONDS)
      .max(MAX_LINK_SECONDS)
      .default(OWNER_LINK_SECONDS)
      .meta({ description: 'Seconds; at most seven days.' }),
  })
  .meta({ id: 'CreateOwnerLink' })

const OwnersLink = z
  .object({
    id: idSchema('lnk'),
    url: z.url().meta({ description: 'Lets the owner into the console, once. Shown this once.' }),
    expiresAt: timeSchema,
    email: z.string().nullable(),
  })
  .meta({ id: 'OwnersLink' })

const ListedTenant = Tenant.extend({
  cost: z
    .int()
    .optional()
    .meta({ description: 'Request units of today and yesterday (UTC), where tenants are listed by it.' }),
}).meta({ id: 'ListedTenant' })

/** Of a tenant as it was made. */
const FIRST_ETAG = '"1"'

const MADE_PERHAPS =
  'The organisation may be made all the same, within a minute: send this request again under its Idempotency-Key, or look for the slug before you ask anew.'

/** Of the directory. */
interface PlacesPage {
  entries: ReadonlyArray<readonly [key: readonly [string], place: { number: TenantNumber; region: string }]>
  more: boolean
}

const UpdateTenant = z
  .strictObject({
    name: nameSchema.optional(),
    plan: z.enum(PLAN_NAMES).optional(),
    limits: UpdateLimits.optional(),
    status: z.enum(SETTABLE_STATUSES).optional(),
  })
  .refine(...changesSomething)
  .meta({ id: 'UpdateTenant' })

export interface PlatformDependencies {
  regions: ReadonlyArray<string>
  directory: Directory
  provisioner: TenantProvisioner
  callsTo: (region: string) => Calls
}

const reply = (status: number, { tenant, version }: Described, headers?: Reply['headers']): Reply => ({
  status,
  body: tenant,
  headers: { etag: `"${version}"`, ...headers },
})

function originOf({ publicOrigin }: Verified<OperatorPrincipal>): string {
  if (publicOrigin === undefined) throw new Error('the edge did not say where clients find it')
  return publicOrigin
}

export function platformOperations(platform: PlatformDependencies): ReadonlyArray<OperatorOperation> {
  const { regions, directory, provisioner, callsTo } = platform

  /** The number is only a part of the id: the home region compares the rest. */
  async function locate(id: string): Promise<{ number: TenantNumber; region: string; home: Calls }> {
    const number = tenantNumberOf(id)
    const place = number && (await directory.locate(number))
    if (number === undefined || place === undefined) throw notFound()
    return { number, region: place.region, home: callsTo(place.region) }
  }

  /** Why an organisation was not made, with what can be done about it. */
  async function explained(refusal: Problem, slug: string): Promise<Problem> {
    const { code, detail, extras } = refusal
    if (code === 'region_unavailable') return new Problem(code, `${detail} ${MADE_PERHAPS}`, extras)
    return code === 'slug_taken' ? explainedTaken(refusal, slug) : refusal
  }

  /** Who has a slug is in no list where their region does not know them: so whoever wants the slug is told how to free it. */
  async function explainedTaken(refusal: Problem, slug: string): Promise<Problem> {
    const number = await directory.ownerOf(slug)
    const place = number && (await directory.locate(number))
    if (number === undefined || place === undefined) return refusal
    const found = await callsTo(place.region)
      .describe({ numbers: [number] })
      .catch(() => undefined)
    if (found === undefined || found[0] !== null) return refusal
    return new Problem(
      refusal.code,
      `${refusal.detail} Its region ${place.region} does not know that one: if it is not being made just now, and the region was restored from an earlier backup, DELETE /platform/v1/tenants/${tenantId(number, 0)} frees the slug.`,
    )
  }

  /** Without those that nothing is known of: a tenant in the making is in the directory before it is let in. */
  async function listed(list: string, { entries, more }: PlacesPage): Promise<Reply> {
    const places = entries.map(([, place]) => place)
    const { described, unreachable } = await describeAll(places, callsTo)
    const tenants = entries.map(([key], i) => [key, described[i]?.tenant] as const)
    const { data, nextCursor } = pageBody(list, { entries: tenants, more }, (tenant) => tenant)
    return { status: 200, body: { data: data.filter((each) => each !== undefined), nextCursor, unreachable } }
  }

  async function bySlug(prefix: string, limit: number, cursor: string | undefined): Promise<Reply> {
    const list = `${LIST} ${prefix}`
    return listed(list, await directory.search(prefix, limit, readCursor(list, cursor)?.[0]))
  }

  /** The tenant itself, as log and metrics name it, or none. */
  async function byNumber(number: TenantNumber): Promise<Reply> {
    const place = await directory.locate(number)
    const entries = place === undefined ? [] : [[[String(number)], { number, ...place }] as const]
    return listed(LIST, { entries, more: false })
  }

  async function byAge(limit: number, cursor: string | undefined): Promise<Reply> {
    const [after] = readCursor(LIST, cursor) ?? []
    const { entries, more } = await directory.list(
      limit,
      after === undefined ? undefined : parseTenantNumber(after),
    )
    const places = entries.map(([number, { region }]) => [[String(number)], { number, region }] as const)
    return listed(LIST, { entries: places, more })
  }

  return [
    ...capacityOperations(regions, callsTo),
    noisyOperation(regions, callsTo),
    operatorOperation({
      method: 'post',
      path: '/platform/v1/tenants',
      tag: 'Platform',
      summary: 'Make a tenant: live at once',
      role: 'admin',
      body: CreateTenant,
      answers: { 201: CreatedTenant },
      problems: ['slug_taken'],
      async handle({ body: { region, ...intent }, idempotencyKey }, operator) {
        const publicOrigin = originOf(operator)
        if (!regions.includes(region)) {
          throw new Problem(
            'validation_failed',
            `There is no such region. There are: ${regions.join(', ')}.`,
            {
              errors: [{ pointer: '/region', detail: 'is not a region of this platform' }],
            },
          )
        }
        const request = { ...requestOf(operator), publicOrigin, idempotencyKey, region, intent }
        const {
          replayed,
          number: _,
          ...made
        } = await provisioner.make(request).catch(async (error) => {
          throw error instanceof Problem ? await explained(error, intent.slug) : error
        })
        const headers = { location: `/platform/v1/tenants/${made.tenant.id}`, etag: FIRST_ETAG }
        return { status: 201, body: made, headers: { ...headers, ...(replayed && REPLAYED) } }
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/tenants',
      tag: 'Platform',
      summary:
        'List tenants: oldest first, by what they cost today and yesterday, or found by slug or number',
      role: 'read',
      query: pageQuery.extend({
        order: z.enum(['created', 'cost']).default('created'),
        slug: z
          .string()
          .regex(/^[a-z0-9-]{1,63}$/)
          .optional()
          .meta({
            description:
              'Only those whose slug begins so, in the order of their slugs: not with `order=cost`.',
          }),
        number: z
          .string()
          .regex(/^[1-9]\d{0,18}$/)
          .optional()
          .meta({
            description:
              'Only the one that the log and the metrics name so: not with `order=cost`, nor with `slug`.',
          }),
      }),
      answers: {
        200: pageOf(ListedTenant).extend({
          unreachable: z.array(z.string()).meta({
            description: 'Regions that did not answer: tenants who live there are missing from this page.',
          }),
        }),
      },
      async handle({ query }) {
        const ways = [query.order === 'cost', query.slug !== undefined, query.number !== undefined]
        if (ways.filter(Boolean).length > 1) {
          throw new Problem(
            'malformed_request',
            'Tenants are listed by their cost, or found by their slugs, or by a number: one of these.',
          )
        }
        const number = parseTenantNumber(query.number ?? '')
        if (number !== undefined) return byNumber(number)
        if (query.order === 'cost') return listByCost(query.limit, query.cursor, { regions, callsTo })
        if (query.slug !== undefined) return bySlug(query.slug, query.limit, query.cursor)
        return byAge(query.limit, query.cursor)
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/tenants/{id}',
      tag: 'Platform',
      summary: 'Read a tenant',
      role: 'read',
      params: one,
      answers: { 200: Tenant },
      async handle({ params: { id } }, operator) {
        const { number, home } = await locate(id)
        const described = await home.read({ number, id, by: requestOf(operator) })
        if (described === null) throw notFound()
        return reply(200, described)
      },
    }),
    operatorOperation({
      method: 'patch',
      path: '/platform/v1/tenants/{id}',
      tag: 'Platform',
      summary: 'Change a tenant’s name, plan, limits or status',
      role: 'admin',
      params: one,
      body: UpdateTenant,
      answers: { 200: Tenant },
      problems: ['precondition_failed'],
      async handle({ params: { id }, body, ifMatch, idempotencyKey }, operator) {
        const { number, home } = await locate(id)
        const by = { ...requestOf(operator), idempotencyKey }
        const changed = await home.change({ number, id, changes: body, ifMatch, by })
        return reply(200, changed, changed.replayed ? REPLAYED : {})
      },
    }),
    operatorOperation({
      method: 'delete',
      path: '/platform/v1/tenants/{id}',
      tag: 'Platform',
      summary: 'Erase a tenant: shut at once, cleared by a job',
      role: 'admin',
      params: one,
      answers: { 202: TenantErasure },
      problems: ['precondition_failed'],
      async handle({ params: { id }, ifMatch }, operator) {
        const { number, region, home } = await locate(id)
        const erasure = await home.erase({ number, id, by: requestOf(operator), ifMatch })
        if (erasure === null) throw notFound()
        // A directory that was restored from a backup may have it still.
        if (erasure.finishedMs !== null) await directory.release(number, region)
        const headers = { location: `/platform/v1/tenants/${id}/erasure` }
        return { status: 202, body: shownErasure(erasure), headers }
      },
    }),
    operatorOperation({
      method: 'post',
      path: '/platform/v1/tenants/{id}/admin-links',
      tag: 'Platform',
      summary: 'Make a link into the console for an owner who has no other way in',
      role: 'admin',
      params: one,
      body: CreateOwnerLink,
      answers: { 201: OwnersLink },
      problems: ['conflict'],
      async handle({ params: { id }, body: { email, expiresIn }, idempotencyKey }, operator) {
        const publicOrigin = originOf(operator)
        const { number, home } = await locate(id)
        const by = { ...requestOf(operator), publicOrigin, idempotencyKey }
        const asked = { number, id, asked: { email, seconds: expiresIn }, by }
        const { replayed, ...link } = await home.linkByOperator(asked)
        return { status: 201, body: link, ...(replayed && { headers: REPLAYED }) }
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/tenants/{id}/usage',
      tag: 'Platform',
      summary: 'Read a tenant’s quotas, and its requests by the hour or day',
      role: 'read',
      params: one,
      query: usageQuery,
      answers: { 200: Usage },
      async handle({ params: { id }, query }) {
        const window = windowOf(query, Date.now())
        if (typeof window === 'string') throw new Problem('malformed_request', window)
        const { number, home } = await locate(id)
        const usage = await home.usage({ number, id, window })
        if (usage === null) throw notFound()
        return { status: 200, body: usage }
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/tenants/{id}/erasure',
      tag: 'Platform',
      summary: 'Read how far a tenant’s erasure is, and its certificate',
      role: 'read',
      params: one,
      answers: { 200: TenantErasure },
      async handle({ params: { id } }) {
        const { number, home } = await locate(id)
        const erasure = await home.erasure({ number, id })
        if (erasure === null) throw notFound()
        return { status: 200, body: shownErasure(erasure) }
      },
    }),
  ]
}
