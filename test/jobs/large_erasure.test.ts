import { expect, onTestFinished, test } from 'vitest'
import { jsonLog } from '../../regional/log.ts'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { TenantEraser } from '../../regional/tenancy/erasure.ts'
import { type ProfileRecord, profileSpace } from '../../regional/tenancy/records.ts'
import { Problem } from '../../shared/problems.ts'
import { tenantId } from '../../shared/tenant.ts'
import { counters, openQueue } from './support.ts'

const ROWS = 7_000

/** An engine that has no time to count what a tenant has. */
const inHaste: typeof openEngine = async ({ dataDir = '' }) => {
  // Chooses the version of the interface.
  await (await openEngine({ dataDir })).close()
  const engine = await openEmbedded({ dataDir, thresholds: { estimateMs: 0, foldEntries: 100 } })
  return {
    kind: 'embedded',
    native: engine.database(),
    overwriteCleared: engine.overwriteCleared,
    close: engine.close,
  }
}

test('the erasure of a tenant too large to be counted begins all the same, and is not told as over before it is', async () => {
  const queue = await openQueue(inHaste)
  const tenant = await queue.tenant(1)
  const id = tenantId(tenant, queue.clock.nowMs)
  await queue.inTenant(tenant, (scope) =>
    scope.system('profile', profileSpace).set(['profile'], { id, version: 1 } as ProfileRecord),
  )
  await queue.inTenant(tenant, (scope) => {
    const rows = scope.service('test').space(counters)
    for (let n = 0; n < ROWS; n++) rows.set([`row ${n}`], n)
  })
  const eraser = new TenantEraser({
    database: queue.database,
    release: async () => {},
    overwriteCleared: () => {},
    log: jsonLog('us', () => {}),
    now: () => queue.clock.nowMs,
  })
  await eraser.begin(tenant, id, { operatorId: 'ops', requestId: 'req' }, undefined)
  const told: Array<{ done: number; total: number | null }> = []
  for (let isOver = false; !isOver; ) {
    queue.clock.nowMs += 100
    isOver = (await eraser.goOn(tenant, () => false)) === undefined
    const erasure = await eraser.read(tenant, id)
    if (erasure !== undefined) told.push(erasure.progress)
  }
  const [last, ...earlier] = told.toReversed()
  expect(earlier.length).toBeGreaterThan(2)
  for (const { done, total } of earlier)
    expect(total ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(done)
  expect(earlier.at(0)?.total).toBeNull()
  expect(last?.total).toBe(last?.done)
  await queue.close()
})

test('a control region that cannot be told of it is tried again, and that is said', async () => {
  const queue = await openQueue()
  onTestFinished(() => queue.close())
  const tenant = await queue.tenant(1)
  const id = tenantId(tenant, queue.clock.nowMs)
  await queue.inTenant(tenant, (scope) =>
    scope.system('profile', profileSpace).set(['profile'], { id, version: 1 } as ProfileRecord),
  )
  const steps: string[] = []
  const lines: string[] = []
  let isAway = true
  const eraser = new TenantEraser({
    database: queue.database,
    release: async () => {
      if (isAway) throw new Problem('region_unavailable', 'The region us does not answer.')
    },
    overwriteCleared: () => {},
    stepped: (kind, outcome) => steps.push(`${kind} ${outcome}`),
    log: jsonLog('us', (line) => lines.push(line)),
    now: () => queue.clock.nowMs,
  })
  await eraser.begin(tenant, id, { operatorId: 'ops', requestId: 'req' }, undefined)
  expect(await eraser.goOn(tenant, () => true)).toBeGreaterThan(queue.clock.nowMs)
  expect(steps).toEqual(['erasure done', 'erasure failed'])
  expect(lines.join('')).toContain('"code":"region_unavailable"')
  isAway = false
  expect(await eraser.goOn(tenant, () => true)).toBeUndefined()
})

test('of many erasures whose control region says nothing, one at a time waits for it', async () => {
  const queue = await openQueue()
  onTestFinished(() => queue.close())
  const tenants = await Promise.all(Array.from({ length: 20 }, (_, n) => queue.tenant(n + 1)))
  const ids = tenants.map((tenant) => tenantId(tenant, queue.clock.nowMs))
  for (const [i, tenant] of tenants.entries()) {
    const profile = { id: ids[i], version: 1 } as ProfileRecord
    await queue.inTenant(tenant, (scope) => scope.system('profile', profileSpace).set(['profile'], profile))
  }
  let asked: Array<PromiseWithResolvers<void>> = []
  const eraser = new TenantEraser({
    database: queue.database,
    release: () => {
      const answer = Promise.withResolvers<void>()
      asked.push(answer)
      return answer.promise
    },
    overwriteCleared: () => {},
    log: jsonLog('us', () => {}),
    now: () => queue.clock.nowMs,
  })
  for (const [i, tenant] of tenants.entries()) {
    await eraser.begin(tenant, ids[i] ?? 'ten_', { operatorId: 'ops', requestId: 'req' }, undefined)
  }
  const [first, ...others] = tenants.map((tenant) => () => eraser.goOn(tenant, () => true))
  const away = () => asked[0]?.reject(new Problem('region_unavailable', 'The region us does not answer.'))
  // Known to be silent, and asked again: whoever comes meanwhile leaves the place to others.
  const begun = first?.()
  await expect.poll(() => asked.length).toBe(1)
  away()
  await begun
  asked = []
  const again = first?.()
  await expect.poll(() => asked.length).toBe(1)
  for (const goOn of others) expect(await goOn()).toBeGreaterThan(queue.clock.nowMs)
  expect(asked.length).toBe(1)
  // Once it answers, all of them go on.
  asked[0]?.resolve()
  expect(await again).toBeUndefined()
  asked = []
  const rest = others.map((goOn) => goOn())
  await expect.poll(() => asked.length).toBe(others.length)
  for (const { resolve } of asked) resolve()
  expect(new Set(await Promise.all(rest))).toEqual(new Set([undefined]))
})
