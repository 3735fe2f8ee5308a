// /platform/v1: the operator's control plane.
import { z } from 'zod'
import { IDEMPOTENCY_REPLAYED } from '../../shared/headers.ts'
import { PLAN_NAMES } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import {
  parseTenantNumber,
  SETTABLE_STATUSES,
  type TenantNumber,
  tenantNumberOf,
} from '../../shared/tenant.ts'
import { pageBody, readCursor } from '../cursor.ts'
import { notFound, pageOf, pageQuery, type Reply } from '../operation.ts'
import { idSchema, nameSchema, slugSchema } from '../schemas.ts'
import { Tenant } from '../services/tenant/schema.ts'
import type { Calls, Described } from './calls.ts'
import type { Directory, DirectoryEntry } from './directory.ts'
import { type OperatorOperation, operatorOperation } from './operation.ts'
import type { TenantProvisioner } from './provisioning.ts'

const LIST = 'tenants'
const one = z.object({ id: idSchema('ten') })

const CreateTenant = z
  .strictObject({
    slug: slugSchema,
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
  })
  .meta({ id: 'CreatedTenant' })

const UpdateTenant = z
  .strictObject({
    name: nameSchema.optional(),
    plan: z.enum(PLAN_NAMES).optional(),
    status: z.enum(SETTABLE_STATUSES).optional(),
  })
  .refine((changes) => Object.keys(changes).length > 0, 'says nothing to change')
  .meta({ id: 'UpdateTenant' })

export interface PlatformDependencies {
  regions: ReadonlyArray<string>
  directory: Directory
  provisioner: TenantProvisioner
  callsTo: (region: string) => Calls
}

const reply = (status: number, { tenant, version }: Described): Reply => ({
  status,
  body: tenant,
  headers: { etag: `"${version}"` },
})

export function platformOperations(platform: PlatformDependencies): ReadonlyArray<OperatorOperation> {
  const { regions, directory, provisioner, callsTo } = platform

  async function find(id: string): Promise<{ number: TenantNumber; home: Calls; described: Described }> {
    const number = tenantNumberOf(id)
    const entry = number && (await directory.find(number))
    if (number === undefined || entry === undefined) throw notFound()
    const home = callsTo(entry.region)
    const [described] = await home.describe({ numbers: [number] })
    // The number is only a part of the id; the rest must be this tenant's too.
    if (described?.tenant.id !== id) throw notFound()
    return { number, home, described }
  }

  return [
    operatorOperation({
      method: 'post',
      path: '/platform/v1/tenants',
      tag: 'Platform',
      summary: 'Make a tenant: live at once',
      role: 'admin',
      body: CreateTenant,
      answers: { 201: CreatedTenant },
      problems: ['slug_taken'],
      async handle({ body: { region, ...intent }, idempotencyKey }, { principal }) {
        if (!regions.includes(region)) {
          throw new Problem(
            'validation_failed',
            `There is no such region. There are: ${regions.join(', ')}.`,
            {
              errors: [{ pointer: '/region', detail: 'is not a region of this platform' }],
            },
          )
        }
        const { operatorId } = principal
        const { replayed, ...made } = await provisioner.make({ operatorId, idempotencyKey, region, intent })
        const location = { location: `/platform/v1/tenants/${made.tenant.id}` }
        const headers = replayed ? { ...location, [IDEMPOTENCY_REPLAYED]: 'true' } : location
        return { status: 201, body: made, headers }
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/tenants',
      tag: 'Platform',
      summary: 'List tenants, oldest first',
      role: 'read',
      query: pageQuery,
      answers: { 200: pageOf(Tenant) },
      async handle({ query }) {
        const [after] = readCursor(LIST, query.cursor) ?? []
        const number = after === undefined ? undefined : parseTenantNumber(after)
        const page = await directory.list(query.limit, number)
        const described = await describeAll(page.entries, callsTo)
        const entries = page.entries.map(([of], i) => [[String(of)], described[i] ?? null] as const)
        const { data, nextCursor } = pageBody(LIST, { entries, more: page.more }, (each) => each?.tenant)
        // A tenant in the making is in the directory for an instant before it is let in.
        return { status: 200, body: { data: data.filter((each) => each !== undefined), nextCursor } }
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
      handle: async ({ params }) => reply(200, (await find(params.id)).described),
    }),
    operatorOperation({
      method: 'patch',
      path: '/platform/v1/tenants/{id}',
      tag: 'Platform',
      summary: 'Change a tenant’s name, plan or status',
      role: 'admin',
      params: one,
      body: UpdateTenant,
      answers: { 200: Tenant },
      problems: ['precondition_failed'],
      async handle({ params: { id }, body, ifMatch }) {
        const { number, home } = await find(id)
        return reply(200, await home.change({ number, id, changes: body, ifMatch }))
      },
    }),
  ]
}

/** Asks each home region once for all of its tenants on a page; answers in the page's order. */
async function describeAll(
  entries: ReadonlyArray<readonly [number: TenantNumber, entry: DirectoryEntry]>,
  callsTo: (region: string) => Calls,
): Promise<ReadonlyArray<Described | null>> {
  const found = new Map<TenantNumber, Described | null>()
  const regions = new Set(entries.map(([, { region }]) => region))
  await Promise.all(
    [...regions].map(async (region) => {
      const numbers = entries.filter(([, entry]) => entry.region === region).map(([number]) => number)
      const described = await callsTo(region).describe({ numbers })
      numbers.forEach((number, i) => {
        found.set(number, described[i] ?? null)
      })
    }),
  )
  return entries.map(([number]) => found.get(number) ?? null)
}
