// One run: two whole regions over chaos, many clients at once, then calm, a restart, and the books are checked.
import { setImmediate as turn } from 'node:timers/promises'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { CALM, ChaosDatabase, type ChaosPlan, STORMY } from './chaos_database.ts'
import { Random } from './random.ts'
import { Events, RegionClients, type TenantLog } from './region_clients.ts'
import { RegionLedger } from './region_ledger.ts'
import { quotaAnomalies, tenantAnomalies } from './tenant_checks.ts'
import { makingAnomalies, TenantMakers } from './tenant_makers.ts'

const CLIENTS_PER_TENANT = 6
const REGION_NAMES = ['us', 'eu']

export interface RegionRunResult {
  seed: number
  anomalies: string[]
  requests: number
  transactions: number
  /** Answers to clients that change something, by status. */
  statuses: Record<number, number>
  chaos: ReadonlyArray<ChaosDatabase['counts']>
}

export async function runRegions(seed: number, requests: number): Promise<RegionRunResult> {
  const random = new Random(seed)
  const engines = new Map<string, Engine>()
  const chaos = new Map<string, ChaosDatabase>()
  const open: typeof openEngine = async (options) => {
    const engine = await openEngine(options)
    const region = REGION_NAMES.find((name) => options.dataDir?.endsWith(name)) ?? ''
    const database = new ChaosDatabase(engine.native, random, CALM)
    engines.set(region, engine)
    if (chaos.has(region)) return engine
    chaos.set(region, database)
    const close = async () => {
      await database.settle()
      await engine.close()
    }
    return { ...engine, native: database, close }
  }
  const regions = await startRegions({ open, writeLog: () => {} })
  try {
    const ledgersNow = () =>
      new Map([...engines].map(([name, { native }]) => [name, new RegionLedger(native)] as const))
    const events = new Events()
    const clients = new RegionClients(regions, random, events)
    const makers = new TenantMakers(clients, random)
    const setPlan = (plan: ChaosPlan) => {
      for (const each of chaos.values()) each.plan = plan
    }
    setPlan(CALM)
    const tenants: TenantLog[] = []
    for (const [slug, region] of [
      ['fixed', 'us'],
      ['changed', 'eu'],
      ['stopped', 'us'],
    ] as const)
      tenants.push(await newTenant(regions, slug, region))
    const [, changed, stopped] = tenants
    if (changed === undefined || stopped === undefined) throw new Error('no tenants')

    const watch = new QuotaWatch(ledgersNow())
    setPlan(STORMY)
    const until = async (work: () => Promise<void>) => {
      while (clients.requests < requests) {
        await work()
        await turn()
      }
    }
    await Promise.all([
      ...tenants.flatMap((tenant) =>
        Array.from({ length: CLIENTS_PER_TENANT }, () => until(() => clients.act(tenant))),
      ),
      ...tenants.map((tenant) => until(() => watch.look(tenant))),
      until(() => (random.chance(0.1) ? makers.makeHalf() : makers.make())),
      until(() => clients.change(changed, { plan: random.pick(['free', 'team']) })),
      until(() => clients.change(stopped, { status: random.pick(['active', 'active', 'suspended']) })),
      until(() => clients.change(stopped, { status: random.pick(['active', 'active', 'suspended']) })),
    ])

    const transactions = [...chaos.values()].reduce((sum, { counts }) => sum + counts.transactions, 0)
    setPlan(CALM)
    // A restart lets the finishers run over whatever was left half made.
    for (const name of REGION_NAMES) await regions.stop(name)
    for (const name of REGION_NAMES) await regions.start(name)
    await quiet(ledgersNow())
    const ledgers = ledgersNow()
    const anomalies = [...watch.anomalies, ...(await makingAnomalies(makers.makings, ledgers))]
    for (const tenant of tenants) {
      const number = tenantNumberOf(tenant.id)
      const ledger = number && (await ledgers.get(tenant.region)?.read(number))
      if (!ledger) throw new Error(`no ledger of ${tenant.id}`)
      anomalies.push(...tenantAnomalies(tenant, ledger))
    }
    const sendings = tenants.flatMap(({ intents }) => intents.flatMap((intent) => intent.sendings))
    return {
      seed,
      anomalies,
      requests: clients.requests,
      transactions,
      statuses: countBy(sendings.map(({ answer }) => answer.status)),
      chaos: [...chaos.values()].map(({ counts }) => counts),
    }
  } finally {
    await regions.close()
  }
}

function countBy(values: ReadonlyArray<number>): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

async function newTenant(regions: Regions, slug: string, region: string): Promise<TenantLog> {
  const { body } = await regions.ask('us', {
    as: 'operator',
    method: 'POST',
    path: '/platform/v1/tenants',
    body: { slug, name: slug, region, plan: 'free', owner: { email: `owner@${slug}.example` } },
  })
  const { id, key } = body.apiKey
  const keys = [{ id, text: key, revokedAt: Number.POSITIVE_INFINITY }]
  return { id: body.tenant.id, region, keys, projects: [], intents: [], reads: [], changes: [] }
}

/** Waits until the finishers have nothing left to do. */
async function quiet(ledgers: ReadonlyMap<string, RegionLedger>): Promise<void> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const left = await Promise.all([...ledgers.values()].map((ledger) => ledger.unfinished()))
    if (left.every((count) => count === 0) || performance.now() > deadline) return
    await turn()
  }
}

/** Looks at a tenant's quotas while they are fought over: in every snapshot they must be right. */
class QuotaWatch {
  readonly anomalies: string[] = []
  private readonly ledgers: ReadonlyMap<string, RegionLedger>
  /** By tenant and quantity: the version of the profile, and the most that may be used while it stays. */
  private readonly most = new Map<string, { version: number; most: number }>()

  constructor(ledgers: ReadonlyMap<string, RegionLedger>) {
    this.ledgers = ledgers
  }

  /** One look at a time for each tenant. */
  async look({ id, region }: TenantLog): Promise<void> {
    const number = tenantNumberOf(id)
    const ledger = number && (await this.ledgers.get(region)?.read(number, false))
    if (!ledger) throw new Error(`no ledger of ${id}`)
    this.anomalies.push(...quotaAnomalies(ledger).map((anomaly) => `${id}, while it ran: ${anomaly}`))
    for (const quantity of ['projects', 'apiKeys'] as const) {
      const { used, limit } = ledger.quotas[quantity]
      const version = ledger.profileVersion
      const before = this.most.get(`${id} ${quantity}`)
      // A smaller plan may find more in use than it allows; from then on nothing may be added.
      const most = before?.version === version ? before.most : Math.max(limit, used)
      if (used > most) this.anomalies.push(`${id}: ${used} ${quantity}, at most ${most}`)
      this.most.set(`${id} ${quantity}`, { version, most: Math.max(limit, Math.min(most, used)) })
    }
  }
}
