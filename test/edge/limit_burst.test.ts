// A burst that the limit allows is let through by an isolate that leases only parts of it; what comes beyond is refused at few calls.
import { expect, test } from 'vitest'
import { Limiter } from '../../edge/limit/limiter.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { memoryLeases } from './memory_leases.ts'

const TENANT = asTenantNumber(1n)
const BURST = 40
const RATE = 20
const limit = { epoch: 1, version: 1, limit: { rate: RATE, burst: BURST } }

/** An isolate and the tenant's object, on a clock that is the test's. */
function isolate() {
  const clock = { nowMs: 1_795_000_000_000 }
  const leases = memoryLeases(() => clock.nowMs)
  const object = { isSilent: false }
  let calls = 0
  const limiter = new Limiter({
    source: async (tenant, request) => {
      calls++
      if (object.isSilent) throw new Error('no way there')
      return leases(tenant, request)
    },
    waitUntil: () => {},
    now: () => clock.nowMs,
    onFailure: () => {},
  })
  /** @returns what became of requests that came so far apart */
  async function ask(requests: number, { units = 1, everyMs = 0 } = {}) {
    const admissions = []
    for (let i = 0; i < requests; i++) {
      admissions.push(await limiter.admit(TENANT, units, limit))
      clock.nowMs += everyMs
    }
    const admitted = admissions.filter(({ outcome }) => outcome === 'admitted').length
    return { admissions, admitted }
  }
  return { clock, ask, object, calls: () => calls }
}

test('one client after the other gets all of the burst, each time that it is there again', async () => {
  const { clock, ask } = isolate()
  for (let turn = 0; turn < 3; turn++) {
    expect((await ask(BURST)).admitted).toBe(BURST)
    expect((await ask(1)).admissions).toMatchObject([{ outcome: 'throttled' }])
    clock.nowMs += 12_000
  }
})

test('all that come at once get it too, whatever they cost', async () => {
  for (const units of [1, 2, 5]) {
    const { ask } = isolate()
    const all = await Promise.all(Array.from({ length: BURST / units }, () => ask(1, { units })))
    expect(all.map(({ admitted }) => admitted)).toEqual(all.map(() => 1))
  }
})

test('no answer says more than is left, and only one after which there is nothing says when there will be', async () => {
  const { ask, clock } = isolate()
  let admitted = 0
  for (;;) {
    const [admission] = (await ask(1)).admissions
    if (admission?.outcome !== 'admitted') break
    admitted++
    expect(admission.left).toBeLessThanOrEqual(BURST - admitted)
    if (admitted < BURST - 1 && admission.left === 0) expect(admission.retryAfterMs).toBeUndefined()
    if (admitted === BURST) expect(admission).toMatchObject({ left: 0, retryAfterMs: expect.any(Number) })
  }
  expect(admitted).toBe(BURST)
  clock.nowMs += 1_000 / RATE
  expect((await ask(1)).admitted).toBe(1)
})

test('a flood gets what the limit allows and no more, and costs its object few calls', async () => {
  const { ask, calls } = isolate()
  const seconds = 4
  const { admitted } = await ask(seconds * 1_000, { everyMs: 1 })
  const allowed = BURST + RATE * seconds
  expect(admitted).toBeLessThanOrEqual(allowed)
  expect(admitted).toBeGreaterThanOrEqual(0.95 * allowed)
  // One each 50 ms, and those of the first burst.
  expect(calls()).toBeLessThan(seconds * 20 + BURST)
})

test('a clock that goes back while an isolate refuses, or while its object is silent, keeps nobody out for as long', async () => {
  const { ask, clock, object } = isolate()
  await ask(BURST)
  expect((await ask(1)).admissions).toMatchObject([{ outcome: 'throttled' }])
  clock.nowMs -= 3_600_000
  const [{ retryAfterMs = Number.POSITIVE_INFINITY } = {}] = (await ask(1)).admissions.filter(
    (admission) => admission.outcome === 'throttled',
  )
  expect(retryAfterMs).toBeLessThanOrEqual(1_000)
  clock.nowMs += 1_000
  expect((await ask(1)).admitted).toBe(1)

  object.isSilent = true
  clock.nowMs += 10_000
  expect((await ask(1)).admissions).toMatchObject([{ outcome: 'unreachable' }])
  object.isSilent = false
  clock.nowMs -= 3_600_000
  expect((await ask(1)).admitted).toBe(1)
})
