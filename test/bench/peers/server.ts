// The peer: the same API job as a service that many would write today. Fastify, PostgreSQL with row-level security, a
// limiter in Redis; answers by schema, prepared statements, a pool. Its key is checked, and its tenant's status read, in the
// transaction of the work, as ours. Plain, each statement waits for the one before, which is how `pg` is used by default;
// with TUNED=on they are pipelined and a creation is one statement: two round trips to PostgreSQL a request.
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { Redis, type Result } from 'ioredis'
import pg from 'pg'
import { HOST } from '../../../dev/ports.ts'
import { newId } from '../../../shared/ids.ts'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    gcra(
      bucket: string,
      interval: number,
      tolerance: number,
    ): Result<[allowed: number, waitMicros: number], Context>
  }
}

interface Caller {
  tenant: string
  key_id: string
  scopes: string[]
  requests_per_second: number
  burst: number
}

interface ProjectRow {
  id: string
  name: string
  description: string
  archived_at: Date | null
  created_at: Date
  updated_at: Date
  version: number
}

const { PORT, POSTGRES, REDIS, POOL = '16' } = process.env
const isTuned = process.env.TUNED === 'on'

const pool = new pg.Pool({
  host: HOST,
  port: Number(POSTGRES),
  user: 'service',
  database: 'peer',
  min: Number(POOL),
  max: Number(POOL),
  pipeline: isTuned,
})
/** Without one, nobody is limited: for comparison. */
const redis = REDIS === undefined ? undefined : new Redis(Number(REDIS), HOST, { enableAutoPipelining: true })
redis?.defineCommand('gcra', {
  numberOfKeys: 1,
  lua: readFileSync(join(import.meta.dirname, 'gcra.lua'), 'utf8'),
})

const ENTER = 'select * from enter($1)'
const READ = 'select * from projects where tenant_id = $1 and id = $2'
/** Nothing happens when the request was here before, and all fails when the quota does. */
const CREATE = {
  claim: `
    insert into idempotency (tenant_id, principal, route, key, project_id, expires_at)
    values ($1, $2, 'POST /v1/projects', $3, $4, $5::timestamptz + $6::interval)
    on conflict do nothing returning project_id`,
  quota: 'update usage set projects = projects + 1, changes = changes + 1 where tenant_id = $1',
  audit: `
    insert into audit_entries (tenant_id, at, actor, action, target, request_id)
    values ($1, $2, $3, 'projects.create', $4, $5)`,
  event: `insert into events (tenant_id, at, type, subject) values ($1, $2, 'project.created', $3)`,
  project: `
    insert into projects (tenant_id, id, name, description, created_at, updated_at, version)
    values ($1, $2, $3, $4, $5, $5, 1) returning *`,
}
/** The same in one. */
const CREATE_AT_ONCE = `
  with claim as (
    insert into idempotency (tenant_id, principal, route, key, project_id, expires_at)
    values ($1, $2, 'POST /v1/projects', $3, $4, $7::timestamptz + $8::interval)
    on conflict do nothing returning project_id
  ), quota as (
    update usage set projects = projects + 1, changes = changes + 1
    where tenant_id = $1 and exists (select from claim) returning tenant_id
  ), audit as (
    insert into audit_entries (tenant_id, at, actor, action, target, request_id)
    select tenant_id, $7, $2, 'projects.create', $4, $9 from quota
  ), event as (
    insert into events (tenant_id, at, type, subject) select tenant_id, $7, 'project.created', $4 from quota
  )
  insert into projects (tenant_id, id, name, description, created_at, updated_at, version)
  select tenant_id, $4, $5, $6, $7, $7, 1 from quota
  returning *`
const REPLAY = `
  select p.* from idempotency i join projects p on p.tenant_id = i.tenant_id and p.id = i.project_id
  where i.tenant_id = $1 and i.principal = $2 and i.route = 'POST /v1/projects' and i.key = $3`

const QUOTA_EXCEEDED = '23514'

class Refusal extends Error {
  readonly status: number
  readonly headers: Record<string, string>

  constructor(status: number, code: string, headers: Record<string, string> = {}) {
    super(code)
    this.status = status
    this.headers = headers
  }
}

type Query = <Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]) => Promise<Row[]>

/** One transaction, as whoever the key belongs to. Tuned, `work` has one statement, which goes out together with the commit. */
async function asCaller<Row extends pg.QueryResultRow>(
  request: FastifyRequest,
  scope: string,
  begin: 'begin' | 'begin read only',
  work: (query: Query, caller: Caller) => Promise<Row[]>,
): Promise<Row[]> {
  const key = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (key === undefined) throw new Refusal(401, 'credential_missing')
  const client = await pool.connect()
  const query: Query = async (name, text, values) => (await client.query({ name, text, values })).rows
  let isOpen = true
  try {
    const [, [caller]] = await Promise.all([
      client.query(begin),
      query<Caller>('enter', ENTER, [hash('sha256', key, 'buffer')]),
    ])
    if (caller === undefined) throw new Refusal(401, 'credential_invalid')
    if (!caller.scopes.includes(scope) && !caller.scopes.includes('*'))
      throw new Refusal(403, 'scope_missing')
    await limit(caller)
    const working = work(query, caller)
    if (!isTuned) await working
    isOpen = false
    const [rows] = await Promise.all([working, client.query('commit')])
    return rows
  } finally {
    if (isOpen) await client.query('rollback')
    client.release()
  }
}

interface Creation {
  once: string
  keptFor: string
  id: string
  name: string
  description: string
  requestId: string
}

/** The project, or nothing when the request was here before. */
async function create(query: Query, { tenant, key_id }: Caller, creation: Creation): Promise<ProjectRow[]> {
  const { once, keptFor, id, name, description, requestId } = creation
  const now = new Date()
  if (isTuned) {
    const values = [tenant, key_id, once, id, name, description, now, keptFor, requestId]
    return query('create', CREATE_AT_ONCE, values)
  }
  const claimed = await query('claim', CREATE.claim, [tenant, key_id, once, id, now, keptFor])
  if (claimed.length === 0) return []
  await query('quota', CREATE.quota, [tenant])
  await query('audit', CREATE.audit, [tenant, now, key_id, id, requestId])
  await query('event', CREATE.event, [tenant, now, id])
  return query('project', CREATE.project, [tenant, id, name, description, now])
}

async function limit({ tenant, requests_per_second, burst }: Caller): Promise<void> {
  if (redis === undefined) return
  const interval = 1e6 / requests_per_second
  const [allowed, waitMicros] = await redis.gcra(`limit:${tenant}`, interval, interval * burst)
  if (allowed === 0) {
    throw new Refusal(429, 'rate_limited', { 'retry-after': String(Math.ceil(waitMicros / 1e6)) })
  }
}

function answer(reply: FastifyReply, status: number, row: ProjectRow): object {
  void reply.code(status).header('etag', `"${row.version}"`)
  const { id, name, description } = row
  return {
    id,
    name,
    description,
    archivedAt: row.archived_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}

const text = { type: 'string' } as const
const project = {
  type: 'object',
  properties: {
    id: text,
    name: text,
    description: text,
    archivedAt: { type: 'string', nullable: true },
    createdAt: text,
    updatedAt: text,
  },
} as const
const body = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 100 },
    description: { type: 'string', maxLength: 2_000, default: '' },
  },
} as const

const app = Fastify({ logger: false, genReqId: () => newId('req') })
app.addHook('onRequest', async (request, reply) => {
  void reply.header('x-request-id', request.id)
})
app.setErrorHandler((error: Error & { status?: number; statusCode?: number; code?: string }, _, reply) => {
  const quota = error.code === QUOTA_EXCEEDED
  const status = quota ? 403 : (error.status ?? error.statusCode ?? 500)
  const code = quota ? 'quota_exceeded' : status === 500 ? 'internal' : error.message
  if (status === 500) process.stderr.write(`${error.stack}\n`)
  if (error instanceof Refusal) void reply.headers(error.headers)
  void reply.code(status).type('application/problem+json').send({ status, code })
})
app.get<{ Params: { id: string } }>(
  '/v1/projects/:id',
  { schema: { response: { 200: project } } },
  async (request, reply) => {
    const [row] = await asCaller(request, 'projects:read', 'begin read only', (query, { tenant }) =>
      query<ProjectRow>('read', READ, [tenant, request.params.id]),
    )
    if (row === undefined) throw new Refusal(404, 'not_found')
    return answer(reply, 200, row)
  },
)
app.post<{ Body: { name: string; description: string } }>(
  '/v1/projects',
  { schema: { body, response: { 201: project } } },
  async (request, reply) => {
    const given = request.headers['idempotency-key']
    const once = typeof given === 'string' ? given : request.id
    const keptFor = typeof given === 'string' ? '24 hours' : '10 minutes'
    const { name, description } = request.body
    const creation = { once, keptFor, id: newId('prj'), name, description, requestId: request.id }
    const [row] = await asCaller(request, 'projects:write', 'begin', (query, caller) =>
      create(query, caller, creation),
    )
    if (row !== undefined) {
      void reply.header('location', `/v1/projects/${row.id}`)
      return answer(reply, 201, row)
    }
    const [before] = await asCaller(
      request,
      'projects:write',
      'begin read only',
      (query, { tenant, key_id }) => query<ProjectRow>('replay', REPLAY, [tenant, key_id, once]),
    )
    if (before === undefined) throw new Refusal(404, 'not_found')
    return answer(reply, 201, before)
  },
)

await app.listen({ host: HOST, port: Number(PORT) })
process.send?.('listening')
process.on('disconnect', () => process.exit(0))
