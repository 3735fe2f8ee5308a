// A region's queue on the real engine, without HTTP: tenants, workers and a clock of one's own.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TakeTurn } from '../../regional/admission/admission.ts'
import { CostMeter } from '../../regional/admission/cost.ts'
import { type JobKind, jobKind, jobKinds } from '../../regional/jobs/kind.ts'
import { type EnqueueOptions, enqueue, jobsOf, readJob } from '../../regional/jobs/queue.ts'
import { dueSpace, type JobRecord } from '../../regional/jobs/record.ts'
import type { VisitDependencies } from '../../regional/jobs/visit.ts'
import { JobWorker } from '../../regional/jobs/worker.ts'
import { keySpace, numberOfKey } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { jsonSpace } from '../../regional/storage/space.ts'
import { jobPointer, laterPointer, leaseSpace } from '../../regional/tenancy/pointers.ts'
import { ShardLoans } from '../../regional/tenancy/quotas.ts'
import { statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase, type TenantScope } from '../../regional/tenancy/region_database.ts'
import { Tails } from '../../regional/tenancy/tails.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'

export const counters = jsonSpace<[name: string], number>('counter')

/** Adds one to a counter in each of so many steps. */
export const count = jobKind<{ name: string; steps: number }, number>({
  kind: 'test.count',
  service: 'test',
  retry: { firstMs: 1_000, maxMs: 60_000, tries: 3 },
  async step(tx, { payload, place = 0 }) {
    const space = tx.space(counters)
    space.set([payload.name], ((await space.get([payload.name])) ?? 0) + 1)
    const done = place + 1
    return done < payload.steps ? { next: done, done, total: payload.steps } : { finished: true, done }
  },
})

export const tenantNumber = (n: number): TenantNumber => asTenantNumber(BigInt(n))

export interface WorkerOptions {
  kinds?: ReadonlyArray<unknown>
  scanEveryMs?: number
  over?: RegionDatabase
  turn?: TakeTurn
  erase?: VisitDependencies['erase']
}

/** @param open the engine, otherwise than usual */
export async function openQueue(open: typeof openEngine = openEngine) {
  const dataDir = await mkdtemp(join(tmpdir(), 'coditect-jobs-'))
  const engine = await open({ dataDir })
  const violations: unknown[] = []
  const anotherDatabase = () =>
    new RegionDatabase(engine.native, keySpace(''), (each) => violations.push(each))
  const database = anotherDatabase()
  const clock = { nowMs: Date.parse('2026-11-23T10:15:00Z') }
  const logged: Array<readonly [string, unknown]> = []
  const log = {
    info: () => {},
    error: (message: string, fields?: unknown) => void logged.push([message, fields]),
  }
  const workers: JobWorker[] = []

  const inTenant = <T>(tenant: TenantNumber, work: (scope: TenantScope) => Promise<T> | T): Promise<T> =>
    database.tenant(tenant, async (scope) => ({ value: await work(scope), commit: true }))

  return {
    database,
    anotherDatabase,
    clock,
    logged,
    violations,
    inTenant,
    /** A tenant without anything but its status. */
    async tenant(n: number): Promise<TenantNumber> {
      const tenant = tenantNumber(n)
      await inTenant(tenant, (scope) =>
        scope.system('status', statusSpace).set(['status'], { status: 'active', version: 1, epoch: 1 }),
      )
      return tenant
    },
    enqueue: <P, S, O>(
      tenant: TenantNumber,
      kind: JobKind<P, S, O>,
      payload: P,
      options?: EnqueueOptions,
      over = database,
    ) =>
      over.tenant(tenant, async (scope) => ({
        value: enqueue(scope, kind, payload, clock.nowMs, options),
        commit: true,
      })),
    job: (tenant: TenantNumber, id: string): Promise<JobRecord | undefined> =>
      inTenant(tenant, (scope) => readJob(scope, id)),
    waiting: (tenant: TenantNumber) =>
      inTenant(tenant, async (scope) => (await jobsOf(scope).space(dueSpace).page({ limit: 1000 })).entries),
    counter: (tenant: TenantNumber, name: string) =>
      inTenant(tenant, async (scope) => (await scope.service('test').space(counters).get([name])) ?? 0),
    worker({
      kinds = [count],
      scanEveryMs = 100,
      over = database,
      turn = (_, work) => work(new CostMeter()),
      erase = async () => undefined,
    }: WorkerOptions = {}): JobWorker {
      const worker = new JobWorker({
        database: over,
        kinds: jobKinds(kinds),
        loans: new ShardLoans(),
        tails: new Tails(over, log),
        erase,
        turn,
        now: () => clock.nowMs,
        random: Math.random,
        log,
        scanEveryMs,
      })
      workers.push(worker)
      return worker
    },
    /** Everything that the region keeps about its queues, by tenant. */
    pointers: () =>
      database.region(async (scope) => {
        const [now, later, leases] = await Promise.all([
          scope.space(jobPointer).page({ limit: 1000 }),
          scope.space(laterPointer).page({ limit: 1000 }),
          scope.space(leaseSpace).page({ limit: 1000 }),
        ])
        const value = {
          now: now.entries.map(([[, tenant]]) => numberOfKey(tenant)),
          later: later.entries.map(([[, atMs, tenant]]) => ({ atMs, tenant: numberOfKey(tenant) })),
          leases: leases.entries.map(([[, tenant]]) => numberOfKey(tenant)),
        }
        return { value, commit: false }
      }),
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()))
      await engine.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
export type Queue = Awaited<ReturnType<typeof openQueue>>
