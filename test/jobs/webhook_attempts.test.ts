// A delivery may be sent again as often as anybody likes: what is kept of it stays bounded, and it is forgotten all the same.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { expireAt, sweep } from '../../regional/jobs/expiry.ts'
import { attemptSpace, KEPT_ATTEMPTS, SERVICE } from '../../regional/webhooks/records.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { openQueue, type Queue } from './support.ts'
import { beginDelivery } from './webhook_delivery.ts'

let queue: Queue
let tenant: TenantNumber
beforeEach(async () => {
  queue = await openQueue()
  tenant = await queue.tenant(1)
})
afterEach(() => queue.close())

const attemptsKept = () =>
  queue.inTenant(tenant, async (scope) => {
    const { entries } = await scope.service(SERVICE).space(attemptSpace).page({ limit: 1_000 })
    return entries.map(([[, number]]) => number)
  })

test('the last attempts are kept, and no others', async () => {
  const { read, tried } = await beginDelivery(queue, tenant, { mode: 'parallel' })
  const tries = KEPT_ATTEMPTS + 3
  for (let i = 0; i < tries; i++) await tried({ outcome: 'unreachable', durationMs: 1 })
  expect(await read()).toMatchObject({ attempts: tries })
  expect(await attemptsKept()).toEqual(Array.from({ length: KEPT_ATTEMPTS }, (_, i) => i + 4))
})

test('what is kept of an answer takes few bytes, whatever was answered, and can be read', async () => {
  const { delivery, tried } = await beginDelivery(queue, tenant, { mode: 'parallel' })
  const answers = ['\0'.repeat(4_096), '"'.repeat(4_096), '€'.repeat(1_365), '{"wrong":\t"é"}\n\x1b[31m']
  for (const status of [500, 200]) {
    for (const answer of answers) {
      await tried({ outcome: 'answered', status, answer, durationMs: 1, retryAfterMs: undefined })
    }
  }
  const kept = await queue.inTenant(tenant, async (scope) => {
    const { entries } = await scope
      .service(SERVICE)
      .space(attemptSpace)
      .page({ under: [delivery.id], limit: 50 })
    return entries.map(([, { answer }]) => answer ?? '')
  })
  const bytes = kept.map((answer) => Buffer.byteLength(JSON.stringify(answer)))
  expect(Math.max(...bytes.slice(0, 4))).toBeLessThanOrEqual(1_024)
  expect(Math.max(...bytes.slice(4))).toBeLessThanOrEqual(256)
  expect(Math.min(...kept.map(({ length }) => length))).toBeGreaterThan(15)
  expect(kept[3]).toBe('{"wrong":\t"é"}\n\ufffd[31m')
})

test('a delivery with more attempts than a transaction could clear one by one is forgotten, and no other', async () => {
  const { nowMs } = queue.clock
  const many = { mode: 'parallel', status: 'delivered', attempts: 100_000 } as const
  const [old, living] = [await beginDelivery(queue, tenant, many), await beginDelivery(queue, tenant, many)]
  await queue.inTenant(tenant, async (scope) => {
    const attempts = scope.service(SERVICE).space(attemptSpace)
    const nothing = { at: '', durationMs: null, status: 200, error: null, answer: null }
    for (const number of [1, 2, many.attempts]) attempts.set([old.delivery.id, number], nothing)
    attempts.set([living.delivery.id, 7], nothing)
    await expireAt(scope, nowMs, 'delivery', old.delivery.id, nowMs)
  })
  queue.clock.nowMs += 2 * 60 * 60 * 1000
  queue.worker({ kinds: [sweep] })
  await eventually(async () => expect(await old.read()).toBeUndefined())
  expect(await attemptsKept()).toEqual([7])
  expect(await living.read()).toMatchObject({ status: 'delivered' })
})
