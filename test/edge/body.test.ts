// Bodies on their way: what an isolate holds of them at a time, and that no tenant takes the room of all.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BodyBudget } from '../../edge/forward/body_budget.ts'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { bearer, edgeTo, newMarker, ROOTS, seen } from './support.ts'

const [A, B, C] = [asTenantNumber(1n), asTenantNumber(2n), asTenantNumber(3n)]
const KIB = 1_024

test('a tenant holds no more than it leaves free, and whoever comes next finds some', () => {
  const budget = new BodyBudget(100)
  expect(budget.begin(A, 0).take(51)).toBe(false)
  const ofA = budget.begin(A, 0)
  expect(ofA.take(40)).toBe(true)
  expect(ofA.take(11)).toBe(false)
  expect(ofA.take(10)).toBe(true)
  expect(budget.begin(A, 0).take(1)).toBe(false)
  expect(budget.begin(B, 0).take(25)).toBe(true)
  expect(budget.begin(C, 0).take(12)).toBe(true)
  expect(budget.begin(undefined, 0).take(6)).toBe(true)
})

test('what is given back is there again, once; and nothing is taken any more by what was given back', () => {
  const budget = new BodyBudget(100)
  const [first, second] = [budget.begin(A, 0), budget.begin(A, 0)]
  expect([first.take(30), second.take(20)]).toEqual([true, true])
  first.release()
  first.release()
  expect(first.take(1)).toBe(false)
  expect(budget.begin(A, 0).take(31)).toBe(false)
  expect(budget.begin(A, 0).take(30)).toBe(true)
})

test('what nobody gave back is forgotten after five minutes', () => {
  const budget = new BodyBudget(100)
  const lost = budget.begin(A, 0)
  expect(lost.take(50)).toBe(true)
  expect(budget.begin(A, 300_000).take(1)).toBe(false)
  expect(budget.begin(A, 300_001).take(50)).toBe(true)
  expect(lost.take(1)).toBe(false)
})

test('what was held before a clock went back is forgotten, too', () => {
  const budget = new BodyBudget(100)
  expect(budget.begin(A, 3_600_000).take(50)).toBe(true)
  expect(budget.begin(A, 0).take(50)).toBe(true)
})

test('whatever is taken and given back in whatever order, nothing is lost and never too much is held', () => {
  const owner = fc.constantFrom(A, B, undefined)
  const step = fc.record({ at: fc.nat(5), owner, bytes: fc.nat(60), ends: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const budget = new BodyBudget(100)
      const open = new Map<number, { body: ReturnType<BodyBudget['begin']>; bytes: number }>()
      for (const { at, owner, bytes, ends } of steps) {
        const held = open.get(at) ?? { body: budget.begin(owner, 0), bytes: 0 }
        open.set(at, held)
        if (held.body.take(bytes)) held.bytes += bytes
        let all = 0
        for (const { bytes } of open.values()) all += bytes
        expect(all).toBeLessThanOrEqual(100)
        if (!ends) continue
        held.body.release()
        open.delete(at)
      }
      for (const { body } of open.values()) body.release()
      expect(budget.begin(A, 0).take(50)).toBe(true)
    }),
  )
})

async function newTenantsKey(number: TenantNumber): Promise<string> {
  const claims = { keyId: newId('key'), tenant: number, region: 'us' }
  return (await mintApiKey('test', claims, await Roots.import([ROOTS[0]]))).text
}

/** An edge with room for 100 KiB of bodies, and how one is sent to it. */
async function narrowEdge(path = '/v1/projects') {
  const edge = await edgeTo(undefined, 200, {}, { bodies: new BodyBudget(100 * KIB) })
  const keys = new Map<TenantNumber, string>()
  return async (tenant: TenantNumber, body: BodyInit, more: Record<string, string> = {}, asked = path) => {
    const key = keys.get(tenant) ?? (await newTenantsKey(tenant))
    keys.set(tenant, key)
    return edge.request(`http://edge${asked}`, { method: 'POST', headers: { ...bearer(key), ...more }, body })
  }
}

/** So much of a body, and then nothing for as long as the test likes. */
function stalling(bytes: number): { body: ReadableStream<Uint8Array>; end(): void; fail(): void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(bytes)),
    async pull(controller) {
      await promise
      controller.close()
    },
  })
  return { body, end: resolve, fail: () => reject(new Error('gone')) }
}

test('who holds half of the room is told to come again, before more of it is read, and others are answered', async () => {
  const send = await narrowEdge()
  const { body, end } = stalling(45 * KIB)
  const stalled = send(A, body)
  await expect.poll(async () => (await send(A, new Uint8Array(6 * KIB))).status).toBe(503)
  const marker = newMarker()
  const refused = await send(A, new Uint8Array(6 * KIB), {}, `/v1/projects?${marker}`)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(await refused.json()).toMatchObject({ code: 'overloaded' })
  expect(await seen(marker)).toEqual([])
  // What is small takes no room, and another has its own.
  expect((await send(A, new Uint8Array(4 * KIB))).status).toBe(200)
  expect((await send(B, new Uint8Array(25 * KIB))).status).toBe(200)
  end()
  expect((await stalled).status).toBe(200)
  expect((await send(A, new Uint8Array(50 * KIB))).status).toBe(200)
})

test('announced or not, a body takes what it is long', async () => {
  const send = await narrowEdge()
  const chunked = (bytes: number) => {
    const { body, end } = stalling(bytes)
    end()
    return body
  }
  expect((await send(A, chunked(50 * KIB))).status).toBe(200)
  expect((await send(A, chunked(51 * KIB))).status).toBe(503)
  expect((await send(A, new Uint8Array(50 * KIB), { 'content-length': String(50 * KIB) })).status).toBe(200)
  expect((await send(A, new Uint8Array(51 * KIB), { 'content-length': String(51 * KIB) })).status).toBe(503)
})

test('however a request ends, its body’s room is there again', async () => {
  const send = await narrowEdge()
  const whole = () => new Uint8Array(50 * KIB)
  const free = async () => expect((await send(A, whole())).status).toBe(200)
  // No instance answers in time.
  expect((await send(A, whole(), {}, '/v1/silent')).status).toBe(503)
  await free()
  expect((await send(A, whole(), {}, '/v1/reset')).status).toBe(503)
  await free()
  expect((await send(A, whole(), {}, `/v1/projects?${'x'.repeat(16 * KIB)}`)).status).toBe(431)
  await free()
  const { body, fail } = stalling(45 * KIB)
  fail()
  expect((await send(A, body)).status).toBe(400)
  await free()
  // An answer that goes on holds nothing of what was asked.
  const streaming = await send(A, whole(), {}, `/v1/stream?${newMarker()}`)
  await free()
  await streaming.body?.cancel()
})
