// Clients of a region under faults: what they ask at random, what they remember of it, and how they retry. Whatever
// an answer leaves open (503, a lost race) stays open here; region_checks.ts says what must be true in the end.
import { newId } from '../../shared/ids.ts'
import type { Answer, Regions } from '../regional/support.ts'
import type { Random } from './random.ts'

/** One sending of a request. Times are places in the run's own order of events. */
export interface Sending {
  requestId: string
  sentAt: number
  answeredAt: number
  answer: Answer
}

/** A request as its client means it: however often it is sent, it is to have one effect. */
export interface Intent {
  action: 'projects.create' | 'projects.update' | 'projects.delete' | 'api-keys.create' | 'api-keys.revoke'
  keyId: string
  method: string
  path: string
  body: { name: string; scopes?: string[] } | undefined
  ifMatch: string | undefined
  idempotencyKey: string | undefined
  sendings: Sending[]
}

export interface ApiKey {
  id: string
  text: string
  /** When the acknowledgement of its revocation was there. */
  revokedAt: number
}

export interface TenantLog {
  id: string
  region: string
  keys: ApiKey[]
  /** Projects that clients know of, with the ETag that they last saw. */
  projects: Array<{ id: string; etag: string }>
  intents: Intent[]
  /** Reads, by the key they were sent with. */
  reads: Array<{ keyId: string; sending: Sending }>
  /** The operator's changes, one after the other. */
  changes: Array<{ body: { plan?: string; status?: string; name?: string }; sending: Sending }>
}

/** The order of events that all clients of a run share. */
export class Events {
  private last = 0
  next(): number {
    return ++this.last
  }
}

/** Sendings of one request before its client gives up. */
const MAX_SENDINGS = 6

export class RegionClients {
  requests = 0
  private readonly regions: Regions
  private readonly random: Random
  private readonly events: Events
  private names = 0

  constructor(regions: Regions, random: Random, events: Events) {
    this.regions = regions
    this.random = random
    this.events = events
  }

  /** One thing that a client of this tenant does. */
  async act(tenant: TenantLog): Promise<void> {
    // A revoked key is tried now and then: it must not be served.
    const live = tenant.keys.filter(({ revokedAt }) => revokedAt === Number.POSITIVE_INFINITY)
    const key = this.random.pick(this.random.chance(0.1) ? tenant.keys : live)
    const dice = this.random.next()
    const project = tenant.projects.length > 0 ? this.random.pick(tenant.projects) : undefined
    if (dice < 0.12) return this.read(tenant, key)
    if (dice < 0.24) return this.createKey(tenant, key)
    if (dice < 0.3) return this.revokeKey(tenant, key)
    if (dice < 0.62 || project === undefined) return this.createProject(tenant, key)
    if (dice < 0.84) return this.updateProject(tenant, key, project)
    await this.intend(tenant, key, 'projects.delete', 'DELETE', `/v1/projects/${project.id}`)
    const index = tenant.projects.indexOf(project)
    // Others may go on asking for it: a second deletion must not count.
    if (index >= 0 && this.random.chance(0.7)) tenant.projects.splice(index, 1)
  }

  /** The operator changes a tenant; asked again until the answer says what happened. */
  async change(tenant: TenantLog, body: TenantLog['changes'][number]['body']): Promise<void> {
    for (let i = 0; i < MAX_SENDINGS; i++) {
      const path = `/platform/v1/tenants/${tenant.id}`
      const sending = await this.send('us', { as: 'operator', method: 'PATCH', path, body })
      tenant.changes.push({ body, sending })
      if (sending.answer.status !== 503) return
    }
  }

  async send(region: string, ask: Parameters<Regions['ask']>[1]): Promise<Sending> {
    this.requests++
    const { requestId = newId('req') } = ask
    const sentAt = this.events.next()
    const answer = await this.regions.ask(region, { ...ask, requestId })
    return { requestId, sentAt, answeredAt: this.events.next(), answer }
  }

  uniqueName(): string {
    return `n${++this.names}`
  }

  private async read(tenant: TenantLog, key: ApiKey): Promise<void> {
    const path = this.random.pick(['/v1/tenant', '/v1/projects?limit=5', '/v1/api-keys?limit=5'])
    const sending = await this.send(tenant.region, { as: key.text, path })
    tenant.reads.push({ keyId: key.id, sending })
  }

  private async createProject(tenant: TenantLog, key: ApiKey): Promise<void> {
    const body = { name: this.uniqueName() }
    const answer = await this.intend(tenant, key, 'projects.create', 'POST', '/v1/projects', body)
    if (answer?.status !== 201) return
    tenant.projects.push({ id: answer.body.id, etag: answer.headers.get('etag') ?? '' })
  }

  private async updateProject(
    tenant: TenantLog,
    key: ApiKey,
    project: TenantLog['projects'][number],
  ): Promise<void> {
    const ifMatch = this.random.chance(0.5) ? project.etag : undefined
    const path = `/v1/projects/${project.id}`
    const body = { name: this.uniqueName() }
    const answer = await this.intend(tenant, key, 'projects.update', 'PATCH', path, body, ifMatch)
    if (answer?.status === 200) project.etag = answer.headers.get('etag') ?? ''
  }

  private async createKey(tenant: TenantLog, key: ApiKey): Promise<void> {
    const body = { name: this.uniqueName(), scopes: ['*'] }
    const answer = await this.intend(tenant, key, 'api-keys.create', 'POST', '/v1/api-keys', body)
    if (answer?.status !== 201) return
    tenant.keys.push({ id: answer.body.id, text: answer.body.key, revokedAt: Number.POSITIVE_INFINITY })
  }

  private async revokeKey(tenant: TenantLog, key: ApiKey): Promise<void> {
    // The first key stays, so that the tenant is not locked out.
    const revoked = this.random.pick(tenant.keys)
    if (revoked === tenant.keys[0]) return
    const answer = await this.intend(tenant, key, 'api-keys.revoke', 'DELETE', `/v1/api-keys/${revoked.id}`)
    if (answer?.status === 204) revoked.revokedAt = Math.min(revoked.revokedAt, this.events.next())
  }

  /**
   * Sends a request until it is answered, some of them several times at once: with an Idempotency-Key, as clients do, or
   * under one request id, as edges do.
   */
  private async intend(
    tenant: TenantLog,
    key: ApiKey,
    action: Intent['action'],
    method: string,
    path: string,
    body?: Intent['body'],
    ifMatch?: string,
  ): Promise<Answer | undefined> {
    const idempotencyKey = this.random.chance(0.6) ? `k-${this.uniqueName()}` : undefined
    const intent: Intent = {
      action,
      keyId: key.id,
      method,
      path,
      body,
      ifMatch,
      idempotencyKey,
      sendings: [],
    }
    tenant.intents.push(intent)
    const headers = {
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    }
    const same = idempotencyKey === undefined && { requestId: newId('req') }
    const once = async (): Promise<Answer | undefined> => {
      for (let i = 0; i < MAX_SENDINGS; i++) {
        const asked = { as: key.text, method, path, body, headers, ...same }
        const sending = await this.send(tenant.region, asked)
        intent.sendings.push(sending)
        if (sending.answer.status !== 503) return sending.answer
      }
      return undefined
    }
    const copies = this.random.chance(0.3) ? 1 + this.random.below(3) : 1
    const answers = await Promise.all(Array.from({ length: copies }, once))
    return answers.find((answer) => answer !== undefined && answer.status < 300) ?? answers[0]
  }
}
