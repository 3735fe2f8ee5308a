// Concurrency slots: as many streams at once as the plan allows, over all isolates, and each given back.
import { env } from 'cloudflare:workers'
import { expect, inject, test, vi } from 'vitest'
import { readBindings } from '../../edge/env.ts'
import { objectsOf, slotsFrom } from '../../edge/limit/lease_source.ts'
import { type SlotSource, Slots } from '../../edge/limit/slots.ts'
import { slotsHere } from '../../edge/limit/slots_here.ts'
import type { TenantLimiter } from '../../edge/limit/tenant_limiter.ts'
import { createEdge } from '../../edge/pipeline.ts'
import { type TenantSnapshot, writeSnapshot } from '../../shared/snapshot.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { memoryLeases } from './memory_leases.ts'
import { bearer, bindings, newKey, newMarker, saySnapshot, seen } from './support.ts'

const source = slotsFrom(objectsOf(env.TENANT_LIMITER as DurableObjectNamespace<TenantLimiter>))
let tenants = 70_000n
const newTenant = (): TenantNumber => asTenantNumber(++tenants)
const wide = { rate: 1_000, burst: 1_000 }
const snapshot: TenantSnapshot = {
  epoch: 1,
  version: 1,
  region: 'us',
  plan: 'team',
  limits: { tenant: wide, key: wide, ip: wide },
  streams: 2,
  corsOrigins: [],
}

test('of a hundred that come to eight isolates at once, as many are let in as may be', async () => {
  const tenant = newTenant()
  const isolates = Array.from({ length: 8 }, () => new Slots({ source, waitUntil: () => {} }))
  const verdicts = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      (isolates[i % 8] as Slots).hold(tenant, `r${i}`, 7, new AbortController().signal),
    ),
  )
  expect(verdicts.filter(({ outcome }) => outcome === 'held').length).toBe(7)
  expect(verdicts.filter(({ outcome }) => outcome === 'full').length).toBe(93)
})

test('a slot is free again when its answer is over, when its client leaves, and when nobody renews it', async () => {
  const tenant = newTenant()
  const slots = new Slots({ source, waitUntil: () => {} })
  const take = async (id: string, client = new AbortController()) => {
    const verdict = await slots.hold(tenant, id, 1, client.signal)
    return verdict.outcome === 'held' ? verdict.slot : undefined
  }
  const first = await take('first')
  expect(await take('second')).toBeUndefined()
  await first?.during(new Response('all of it')).text()
  const leaving = new AbortController()
  const third = await eventually(async () => {
    const slot = await take('third', leaving)
    expect(slot).toBeDefined()
    return slot
  })
  const open = third?.during(new Response(new ReadableStream({ pull: () => new Promise(() => {}) })))
  expect(await take('fourth')).toBeUndefined()
  leaving.abort()
  await eventually(async () => expect(await take('fifth')).toBeDefined())
  await open?.body?.cancel().catch(() => {})

  expect(await take('sixth')).toBeUndefined()
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 91_000 })
  try {
    expect(await take('seventh')).toBeDefined()
  } finally {
    vi.useRealTimers()
  }
})

test('in a workerd of one’s own slots are held in memory alone, each tenant’s apart, and end as they do in an object', async () => {
  const clock = { nowMs: 3_600_000 }
  const here = slotsHere(() => clock.nowMs)
  const [one, another] = [newTenant(), newTenant()]
  expect(await Promise.all(['a', 'b', 'c'].map((id) => here.hold(one, id, 2)))).toEqual([true, true, false])
  expect(await here.hold(another, 'c', 2)).toBe(true)
  await here.release(one, 'a')
  expect([await here.hold(one, 'c', 2), await here.hold(one, 'd', 2)]).toEqual([true, false])
  // What is held is renewed, however few there may be by then; what nobody renews runs out.
  clock.nowMs += 60_000
  expect(await here.hold(one, 'b', 1)).toBe(true)
  clock.nowMs += 30_000
  expect([await here.hold(one, 'd', 2), await here.hold(one, 'e', 2)]).toEqual([true, false])
  clock.nowMs -= 3_600_000
  expect(await here.hold(one, 'e', 1)).toBe(true)
})

/** An object that answers when the test lets it, and what was asked of it. */
function slowObject() {
  const calls: string[] = []
  const answers: Array<(held: boolean) => void> = []
  const source: SlotSource = {
    hold: (_, id) => {
      calls.push(`hold ${id}`)
      return new Promise((resolve) => answers.push(resolve))
    },
    async release(_, id) {
      calls.push(`release ${id}`)
    },
  }
  return { source, calls, answer: (held: boolean) => answers.shift()?.(held) }
}

test('a slot that was granted when its client had left, or had been given up on, is given back', async () => {
  const { source, calls, answer } = slowObject()
  const works: Promise<unknown>[] = []
  const slots = new Slots({ source, waitUntil: (work) => works.push(work) })
  const leaving = new AbortController()
  const left = slots.hold(newTenant(), 'left', 1, leaving.signal)
  leaving.abort()
  expect(calls).toEqual(['hold left'])
  answer(true)
  expect((await left).outcome).toBe('held')
  await Promise.all(works)
  expect(calls).toEqual(['hold left', 'release left'])
  const late = slots.hold(newTenant(), 'late', 1, new AbortController().signal)
  expect((await late).outcome).toBe('silent')
  answer(true)
  await Promise.all(works)
  expect(calls.slice(2)).toEqual(['hold late', 'release late'])
  const full = slots.hold(newTenant(), 'full', 1, new AbortController().signal)
  answer(false)
  expect((await full).outcome).toBe('full')
  await Promise.all(works)
  expect(calls.slice(4)).toEqual(['hold full'])
})

test('a renewal that is still on its way when the answer ends does not take the slot again', async () => {
  const { source, calls, answer } = slowObject()
  const works: Promise<unknown>[] = []
  let nowMs = 0
  const slots = new Slots({ source, waitUntil: (work) => works.push(work), now: () => nowMs })
  const holding = slots.hold(newTenant(), 'a', 1, new AbortController().signal)
  answer(true)
  const verdict = await holding
  if (verdict.outcome !== 'held') throw new Error('no slot')
  nowMs = 60_000
  expect(await verdict.slot.during(new Response('all of it')).text()).toBe('all of it')
  expect(calls).toEqual(['hold a', 'hold a'])
  answer(true)
  await Promise.all(works)
  expect(calls).toEqual(['hold a', 'hold a', 'release a'])
})

test.each([
  ['once a minute', [0, 60, 120, 180], []],
  ['and again at once where that failed', [0, 60, 75, 135], [60]],
])('the slot of a stream on which something comes every 15 s is renewed %s', async (_, expected, failing) => {
  let nowS = 0
  const calls: number[] = []
  const source: SlotSource = {
    async hold() {
      calls.push(nowS)
      if (failing.includes(nowS)) throw new Error('no way there')
      return true
    },
    release: async () => {},
  }
  const slots = new Slots({ source, waitUntil: () => {}, now: () => nowS * 1_000 })
  const verdict = await slots.hold(newTenant(), 'a', 1, new AbortController().signal)
  if (verdict.outcome !== 'held') throw new Error('no slot')
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const [writer, reader] = [
    writable.getWriter(),
    verdict.slot.during(new Response(readable)).body?.getReader(),
  ]
  while (nowS < 180) {
    nowS += 15
    await Promise.all([writer.write(new Uint8Array(1)), reader?.read()])
  }
  expect(calls).toEqual(expected)
})

async function edgeOver(slots: SlotSource) {
  const { steady, other } = inject('regions')
  const regions = { us: [steady], eu: [other] }
  const config = await readBindings(await bindings({ REGIONS: JSON.stringify(regions) }))
  // Not the clock itself, which tests put forward.
  return createEdge(config, { leases: memoryLeases(), slots, now: () => Date.now() })
}

/** An object in memory, of one tenant. */
function memorySlots(...ids: ReadonlyArray<string>) {
  const held = new Set<string>(ids)
  const source: SlotSource = {
    async hold(_, id, limit) {
      if (!held.has(id) && held.size >= limit) return false
      held.add(id)
      return true
    },
    async release(_, id) {
      held.delete(id)
    },
  }
  return { held, source }
}

/** A tenant that no isolate has heard of, with many streams open already, and what asks for one more. */
async function openAlready(streams: number) {
  const tenant = newTenant()
  const { source } = memorySlots(...Array.from({ length: streams }, (_, i) => `open ${i}`))
  const edge = await edgeOver(source)
  const headers = { ...bearer(await newKey('us', undefined, tenant)), accept: 'text/event-stream' }
  const stream = async (marker = newMarker()) => {
    const { status, body } = await edge.request(`http://edge/v1/stream?${marker}`, { headers })
    await body?.cancel()
    return status
  }
  return { tenant, stream }
}

const answerOf = (streams: number, version = 1) => ({
  snapshot: writeSnapshot({ ...snapshot, version, streams }),
})

test('an isolate that has heard nothing of a tenant asks its region before it lets in or refuses a stream', async () => {
  const large = await openAlready(200)
  await saySnapshot({ tenant: large.tenant }, answerOf(5_000))
  expect(await large.stream()).toBe(200)

  const small = await openAlready(7)
  await saySnapshot({ tenant: small.tenant }, answerOf(10))
  const edge = await edgeOver(memorySlots(...Array.from({ length: 7 }, (_, i) => `open ${i}`)).source)
  const headers = { ...bearer(await newKey('us', undefined, small.tenant)), accept: 'text/event-stream' }
  const asked = Array.from({ length: 40 }, () => edge.request('http://edge/v1/stream', { headers }))
  const answers = await Promise.all(asked)
  for (const { body } of answers) await body?.cancel()
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(37)
  // All of them share one answer.
  const questions = await seen(`/edge/v1/snapshots/${small.tenant}`)
  expect(questions.filter(({ target }) => !target.includes('held'))).toHaveLength(1)
})

test('it asks again after a minute, goes by what it heard last where nobody answers, and follows a tenant that has moved', async () => {
  const { tenant, stream } = await openAlready(200)
  await saySnapshot({ tenant }, answerOf(201))
  expect(await stream()).toBe(200)
  const later = async (minutes: number) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + minutes * 61_000 })
    try {
      return await stream()
    } finally {
      vi.useRealTimers()
    }
  }
  await saySnapshot({ tenant }, { snapshot: null })
  expect(await later(1)).toBe(200)
  await saySnapshot({ tenant }, answerOf(200, 2))
  expect(await later(2)).toBe(429)
  await saySnapshot({ tenant }, { snapshot: null, movedTo: 'eu' })
  await saySnapshot({ tenant }, answerOf(300, 3), 'eu')
  expect(await later(4)).toBe(200)
})

test('while it refuses streams it asks its region whether there may be more by now', async () => {
  const { tenant, stream } = await openAlready(10)
  await saySnapshot({ tenant }, answerOf(10, 5))
  expect(await stream()).toBe(429)
  await saySnapshot({ tenant, held: '1.5' }, answerOf(200, 6))
  await eventually(async () => expect(await stream()).toBe(200))
})

test('a slot that is held is renewed, however few there may be by then', async () => {
  const tenant = newTenant()
  const hold = (id: string, limit: number) => source.hold(tenant, id, limit)
  expect([await hold('a', 2), await hold('b', 2)]).toEqual([true, true])
  expect([await hold('a', 1), await hold('c', 2)]).toEqual([true, false])
})

test('a stream above the plan’s number is 429 and reaches no region; other requests need no slot', async () => {
  const { held, source } = memorySlots()
  const edge = await edgeOver(source)
  const key = await newKey()
  const headers = { ...bearer(key), accept: 'text/event-stream' }
  const path = (marker: string) => `http://edge/v1/stream?${marker}`
  await edge.request(`http://edge/v1/projects?snapshot=${encodeURIComponent(writeSnapshot(snapshot))}`, {
    headers: bearer(key),
  })
  const open = [
    await edge.request(path(newMarker()), { headers }),
    await edge.request(path(newMarker()), { headers }),
  ]
  expect(open.map(({ status }) => status)).toEqual([200, 200])
  expect(held.size).toBe(2)
  const refused = await edge.request(path(newMarker()), { headers })
  expect(refused.status).toBe(429)
  expect(refused.headers.get('retry-after')).toBe('5')
  expect(await refused.json()).toMatchObject({ code: 'too_many_streams' })
  expect((await edge.request('http://edge/v1/projects', { headers: bearer(key) })).status).toBe(200)
  for (const { body } of open) await body?.cancel()
  await eventually(() => expect(held.size).toBe(0))
})

test('a run of an agent holds a slot until it is over, however it is answered', async () => {
  const { source, calls, answer } = slowObject()
  const edge = await edgeOver(source)
  const path = '/v1/projects/prj_01h455vb4pex5vsknk084sn02q/agents/agt_01h455vb4pex5vsknk084sn02q/runs'
  const asked = edge.request(`http://edge${path}`, {
    method: 'POST',
    headers: { ...bearer(await newKey()), 'content-type': 'application/json' },
    body: '{"input":"Hello"}',
  })
  await eventually(() => expect(calls).toHaveLength(1))
  answer(true)
  const run = await asked
  expect(run.status).toBe(200)
  expect(calls).toHaveLength(1)
  await run.text()
  await eventually(() => expect(calls.map((call) => call.split(' ')[0])).toEqual(['hold', 'release']))
})

test('an object that does not answer keeps no stream away', async () => {
  const edge = await edgeOver({
    hold: () => Promise.reject(new Error('gone')),
    release: () => Promise.reject(new Error('gone')),
  })
  const headers = { ...bearer(await newKey()), accept: 'text/event-stream' }
  const answer = await edge.request(`http://edge/v1/stream?${newMarker()}`, { headers })
  expect(answer.status).toBe(200)
  await answer.body?.cancel()
})
