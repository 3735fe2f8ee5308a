import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { auditOf } from '../../regional/tenancy/audit.ts'
import { statusSpace } from '../../regional/tenancy/records.ts'
import { RefusalLog } from '../../regional/tenancy/refusals.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { ChaosDatabase, STORMY } from './chaos_database.ts'
import { Random } from './random.ts'

const REFUSALS = 40

test('every refusal is in the trail once, whatever becomes of the commits that tell of it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-refusals-'))
  const engine = await openEngine({ dataDir: folder })
  const chaos = new ChaosDatabase(engine.native, new Random(2), {
    ...STORMY,
    unknown: 0.5,
    doomed: 0.2,
  })
  const database = new RegionDatabase(chaos, keySpace(''), (violation) => {
    throw violation
  })
  const tenant = asTenantNumber(1n)
  const refusals = new RefusalLog(database)
  const flush = () =>
    refusals.flush().then(
      () => true,
      () => false,
    )
  const outcomes = new Set<boolean>()
  try {
    const calm = new RegionDatabase(engine.native, keySpace(''), () => {})
    await calm.tenant(tenant, async (scope) => {
      scope.system('status', statusSpace).set(['status'], { status: 'active', epoch: 1, version: 1 })
      return { value: undefined, commit: true }
    })
    for (let i = 0; i < REFUSALS; i++) {
      refusals.note(tenant, {
        at: new Date().toISOString(),
        actor: { kind: 'api_key', id: `key ${i % 3}` },
        action: 'projects.create',
        target: null,
        ip: null,
        requestId: `req ${i}`,
        outcome: 'refused',
        code: 'insufficient_scope',
      })
      if (i % 4 === 0) outcomes.add(await flush())
    }
    await chaos.settle()
    for (let i = 0; i < 2; i++) await refusals.flush()
    const { entries } = await calm.tenant(tenant, async (scope) => ({
      value: await auditOf(scope).page(REFUSALS * 2),
      commit: false,
    }))
    expect(entries.reduce((sum, [, { count = 1 }]) => sum + count, 0)).toBe(REFUSALS)
    expect(outcomes, 'some flushes came through and some did not').toEqual(new Set([true, false]))
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
})
