// Operators under faults: they make tenants, race for slugs, and send one request again after a 503. In the end no
// slug has two tenants, no request has two, and nothing half made is left.
import { newId } from '../../shared/ids.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import type { Random } from './random.ts'
import type { RegionClients, Sending } from './region_clients.ts'
import type { RegionLedger } from './region_ledger.ts'

interface Making {
  slug: string
  region: string
  idempotencyKey: string | undefined
  sendings: Sending[]
}

const MAX_SENDINGS = 6
/** Numbers that the directory does not come to in a run. */
const FIRST_HALF = 900_000

export class TenantMakers {
  readonly makings: Making[] = []
  private readonly clients: RegionClients
  private readonly random: Random
  private halves = 0

  constructor(clients: RegionClients, random: Random) {
    this.clients = clients
    this.random = random
  }

  /** Asks for a tenant, as up to three operators at once who may want the same slug in different regions. */
  async make(): Promise<void> {
    const slug = `made-${this.random.below(1_000)}`
    await Promise.all(Array.from({ length: 1 + this.random.below(3) }, () => this.makeOne(slug)))
  }

  /** What a crash of the control region leaves in a tenant's home: it was told to provision, and then nothing. */
  async makeHalf(): Promise<void> {
    const slug = `made-${this.random.below(1_000)}`
    const region = this.random.pick(['us', 'eu'])
    const number = String(FIRST_HALF + this.halves++)
    const intent = { slug, name: slug, plan: 'free', owner: { email: `owner@${slug}.example` } }
    const by = { operatorId: 'ops', requestId: newId('req'), publicOrigin: 'https://api.test' }
    const body = { number, intent, by }
    const ask = { as: 'region', method: 'POST', path: '/internal/v1/provision', body }
    await this.clients.send(region, ask)
  }

  private async makeOne(slug: string): Promise<void> {
    const region = this.random.pick(['us', 'eu'])
    const idempotencyKey = this.random.chance(0.6) ? newId('req') : undefined
    const making: Making = { slug, region, idempotencyKey, sendings: [] }
    this.makings.push(making)
    const same = idempotencyKey === undefined && { requestId: newId('req') }
    const once = async () => {
      for (let i = 0; i < MAX_SENDINGS; i++) {
        const sending = await this.clients.send('us', {
          ...same,
          as: 'operator',
          method: 'POST',
          path: '/platform/v1/tenants',
          body: { slug, name: slug, region, plan: 'free', owner: { email: `owner@${slug}.example` } },
          headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
        })
        making.sendings.push(sending)
        if (sending.answer.status !== 503) return
      }
    }
    const copies = this.random.chance(0.3) ? 2 : 1
    await Promise.all(Array.from({ length: copies }, once))
  }
}

/** @param ledgers by region; `us` keeps the directory. To be called after the finisher ran. */
export async function makingAnomalies(
  makings: ReadonlyArray<Making>,
  ledgers: ReadonlyMap<string, RegionLedger>,
): Promise<string[]> {
  const found: string[] = []
  const owners = new Map<string, string>()
  for (const { slug, idempotencyKey, sendings } of makings) {
    const made = sendings.filter(({ answer }) => answer.status === 201)
    for (const { answer } of sendings) {
      if (![201, 409, 503].includes(answer.status)) found.push(`making ${slug} was answered ${answer.status}`)
    }
    for (const { answer } of made) {
      const { id } = answer.body.tenant
      if ((owners.get(slug) ?? id) !== id) found.push(`two tenants with the slug ${slug}`)
      owners.set(slug, id)
    }
    // Of one that is sent again, or comes twice, its own tenant is not another's that has taken the slug.
    const statuses = new Set(sendings.map(({ answer }) => answer.status).filter((status) => status !== 503))
    if (statuses.size > 1 || new Set(made.map(({ answer }) => JSON.stringify(answer.body))).size > 1)
      found.push(`two answers to the making of ${slug} under ${idempotencyKey}`)
  }
  return [...found, ...(await directoryAnomalies(owners, ledgers))]
}

async function directoryAnomalies(
  owners: ReadonlyMap<string, string>,
  ledgers: ReadonlyMap<string, RegionLedger>,
): Promise<string[]> {
  const found: string[] = []
  const slugs = (await ledgers.get('us')?.slugs()) ?? new Map<string, string>()
  for (const [slug, id] of owners) {
    if (slugs.get(slug) !== String(tenantNumberOf(id))) found.push(`${slug} is not ${id}'s in the directory`)
  }
  const homes = new Map<string, string>()
  for (const [region, ledger] of ledgers) {
    const unfinished = await ledger.unfinished()
    if (unfinished > 0) found.push(`${unfinished} pointers to half-made tenants left in ${region}`)
    for (const number of await ledger.tenantsWithBytes()) {
      const { status, slug } = await ledger.read(number, false)
      if (status !== 'active' && status !== 'suspended')
        found.push(`${number} is left ${status} in ${region}`)
      if (slug === undefined || slugs.get(slug) !== String(number))
        found.push(`${number} in ${region} goes by ${slug}, which is not its own`)
      if (homes.has(String(number))) found.push(`${number} lies in two regions`)
      homes.set(String(number), region)
    }
  }
  for (const [slug, number] of slugs) {
    if (!homes.has(number)) found.push(`${slug} belongs to ${number}, which lies nowhere`)
  }
  return found
}
