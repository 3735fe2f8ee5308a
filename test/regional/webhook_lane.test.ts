// A lane by itself: what it keeps of its receiver's pace when it goes from one hand to the next.
import { expect, test } from 'vitest'
import type { TenantEvent } from '../../regional/tenancy/events.ts'
import { FEED_BEGINNING } from '../../regional/tenancy/service.ts'
import { Lane } from '../../regional/webhooks/lane.ts'
import {
  type DeliveryRecord,
  deliveryId,
  type EndpointRecord,
  type LaneRecord,
  newDelivery,
} from '../../regional/webhooks/records.ts'
import { newId } from '../../shared/ids.ts'

const NOW_MS = Date.parse('2026-11-23T10:15:00Z')
const at = new Date(NOW_MS).toISOString()

const endpoint: EndpointRecord = {
  ...{ id: newId('whe'), url: 'https://hooks.example', description: null, types: [], enabled: true },
  ...{ disabled: null, mode: 'parallel', rate: null, headerNames: [], sealedHeaders: null, signers: [] },
  ...{ createdAt: at, updatedAt: at, version: 1 },
}
const record: LaneRecord = {
  ...{ cursor: FEED_BEGINNING, highest: FEED_BEGINNING, failingSinceMs: null, warnings: 0 },
}

const events = (count: number): TenantEvent[] =>
  Array.from({ length: count }, (_, i) => ({
    ...{ id: newId('evt', NOW_MS), type: 'project.created', at, resource: 'prj_1' },
    ...{ actor: { kind: 'system' as const, id: 'x' }, sequence: FEED_BEGINNING.slice(0, -2) + (10 + i) },
  }))

function laneOf(of: LaneRecord, count: number): Lane {
  const lane = new Lane(endpoint, of)
  lane.addDue({ due: [], nextDueMs: undefined, more: false }, lane.dueVersion)
  lane.add(events(count), FEED_BEGINNING, false)
  return lane
}

/** Begins as many as it may at the same time. */
function beginAll(lane: Lane, nowMs: number): DeliveryRecord[] {
  const begun: DeliveryRecord[] = []
  for (let next = lane.next(nowMs); next && 'record' in next; next = lane.next(nowMs)) {
    lane.begin(next, nowMs)
    begun.push(next.record)
  }
  return begun
}

test('whoever has a failing endpoint in hand next sends it one at a time, and pauses longer than the one before', () => {
  const lane = laneOf(record, 40)
  let nowMs = NOW_MS
  const first = beginAll(lane, nowMs)
  expect(first.length).toBeGreaterThan(1)
  for (const _ of first) lane.sent('failed', undefined, nowMs)
  nowMs = lane.sparedUntilMs(nowMs)
  const pace = lane.paceAt(nowMs)
  if (pace === undefined) throw new Error('its pace is to be kept')
  const next = laneOf({ ...record, pace }, 40)
  expect(beginAll(next, nowMs)).toHaveLength(1)
  next.sent('failed', undefined, nowMs)
  expect(next.sparedUntilMs(nowMs) - nowMs).toBe(200)

  next.sent('succeeded', undefined, nowMs)
  expect(next.paceAt(nowMs + 5_000)).toBeUndefined()
})

test.each([
  ['throttled', 1_000, 60_000],
  ['failed', 100, 5_000],
] as const)(
  'a lane whose deliveries are %s pauses shortly at first, however many were on their way',
  (outcome, first, most) => {
    const lane = laneOf(record, 40)
    const begun = beginAll(lane, NOW_MS)
    expect(begun).toHaveLength(16)
    for (const _ of begun) lane.sent(outcome, undefined, NOW_MS)
    for (const each of begun) lane.recorded(each, NOW_MS + 5_000)
    let nowMs = NOW_MS
    for (let pauseMs = first; pauseMs <= 2 * most; pauseMs *= 2) {
      expect(lane.sparedUntilMs(nowMs) - nowMs).toBe(Math.min(pauseMs, most))
      nowMs = lane.sparedUntilMs(nowMs)
      const [next, ...others] = beginAll(lane, nowMs)
      if (next === undefined) throw new Error('one of them is to be tried')
      expect(others).toEqual([])
      lane.sent(outcome, undefined, nowMs)
      lane.recorded(next, nowMs + 5_000)
    }
  },
)

test('what was on its way when a pause began can make it longer, by what its receiver asks for', () => {
  const lane = laneOf(record, 40)
  beginAll(lane, NOW_MS)
  lane.sent('throttled', undefined, NOW_MS)
  lane.sent('throttled', 8_000, NOW_MS)
  lane.sent('throttled', 3_000, NOW_MS + 10)
  lane.sent('failed', undefined, NOW_MS + 20)
  expect(lane.sparedUntilMs(NOW_MS + 30) - NOW_MS).toBe(8_000)
  lane.sent('throttled', 600_000, NOW_MS + 30)
  expect(lane.sparedUntilMs(NOW_MS + 30) - NOW_MS).toBe(60_030)
})

test('whoever has asked for less gets one at a time until one arrives, whatever else fails meanwhile', () => {
  const lane = laneOf(record, 40)
  const [first, ...others] = beginAll(lane, NOW_MS)
  if (first === undefined) throw new Error('there is one')
  for (const _ of others) lane.sent('succeeded', undefined, NOW_MS)
  lane.sent('throttled', undefined, NOW_MS)
  let nowMs = lane.sparedUntilMs(NOW_MS)
  expect(beginAll(lane, nowMs)).toHaveLength(1)
  lane.sent('failed', undefined, nowMs)
  nowMs = lane.sparedUntilMs(nowMs)
  expect(beginAll(lane, nowMs)).toHaveLength(1)
  lane.sent('succeeded', undefined, nowMs)
  expect(beginAll(lane, nowMs)).toHaveLength(16)
})

test.each([0.5, 2.5, 5, 60, 1_000])('in no second are there more than the rate and one: %d', (rate) => {
  const lane = new Lane({ ...endpoint, rate }, record)
  lane.addDue({ due: [], nextDueMs: undefined, more: false }, lane.dueVersion)
  lane.add(events(3_000), FEED_BEGINNING, false)
  const times: number[] = []
  // As late as timers are, now and then.
  for (let nowMs = NOW_MS; nowMs < NOW_MS + 5_000; nowMs += nowMs % 7 === 0 ? 9 : 1) {
    for (const each of beginAll(lane, nowMs)) {
      times.push(nowMs)
      lane.sent('succeeded', undefined, nowMs)
      lane.recorded(each, undefined)
    }
  }
  const inSecond = times.map((from, i) => times.slice(i).filter((time) => time < from + 1_000).length)
  expect(Math.max(...inSecond)).toBeLessThanOrEqual(rate + 1)
  expect(times.length / 5).toBeGreaterThan(Math.min(rate, 590) * 0.95)
})

test('a clock that is set back spares a receiver no longer than a pause lasts, or its rate says', () => {
  const before = NOW_MS - 60 * 60_000
  const pace = { pausedUntilMs: NOW_MS + 60_000, onTimeMs: NOW_MS + 200, failuresInRow: 6, throttles: 6 }
  expect(laneOf({ ...record, pace }, 1).sparedUntilMs(before)).toBe(before + 60_000)
  const limited = new Lane({ ...endpoint, rate: 5 }, { ...record, pace: { ...pace, pausedUntilMs: 0 } })
  const untilMs = limited.sparedUntilMs(before)
  expect(untilMs - before).toBeLessThan(250)
  // And not for as long again each time that somebody asks.
  expect(limited.sparedUntilMs(before + 100)).toBe(untilMs)
})

test('a lane rests while its receiver is spared, and not while anything is on its way', () => {
  const lane = laneOf(record, 40)
  expect(lane.rests(NOW_MS)).toBe(false)
  const begun = beginAll(lane, NOW_MS)
  for (const _ of begun) lane.sent('throttled', 60_000, NOW_MS)
  expect(lane.rests(NOW_MS)).toBe(false)
  for (const each of begun) lane.recorded(each, undefined)
  expect(lane.rests(NOW_MS)).toBe(true)
  expect(lane.rests(NOW_MS + 60_000)).toBe(false)
})

test('a new start spares nobody for what was before: enabled again, another URL, another mode', () => {
  for (const [from, to, isNew] of [
    [{ enabled: false }, {}, true],
    [{}, { url: 'https://new.example' }, true],
    [{}, { mode: 'fifo' }, true],
    [{}, { description: 'Same' }, false],
  ] as const) {
    const pace = { pausedUntilMs: NOW_MS + 60_000, onTimeMs: 0, failuresInRow: 20, throttles: 6 }
    const lane = new Lane({ ...endpoint, ...from }, { ...record, pace })
    lane.endpoint = { ...endpoint, ...to, version: 2 }
    expect([to, lane.paceAt(NOW_MS) === undefined]).toEqual([to, isNew])
  }
})

test('an endpoint that was disabled stays so, even if what was read of it before arrives later', () => {
  const lane = laneOf(record, 40)
  const disabled = { ...endpoint, enabled: false, version: 2 }
  lane.endpoint = disabled
  lane.endpoint = endpoint
  expect(lane.endpoint).toEqual(disabled)
  expect(lane.next(NOW_MS)).toBeUndefined()
  // What is due may have changed all the same.
  expect(lane.dueIsStale).toBe(true)
  lane.endpoint = { ...endpoint, version: 3 }
  expect(lane.endpoint.enabled).toBe(true)
})

test('a test takes nothing of the rate: what is really to be sent does not wait for it', () => {
  const lane = new Lane({ ...endpoint, rate: 0.1 }, record)
  const [event, ...real] = events(3)
  if (event === undefined) throw new Error('there is one')
  const tries = Array.from({ length: 5 }, (): DeliveryRecord => {
    return { ...newDelivery(endpoint.id, event), id: newId('del'), test: true, event, dueAt: 0 }
  })
  const due = tries.map((each) => ({ record: each, notBeforeMs: NOW_MS }))
  lane.addDue({ due, nextDueMs: undefined, more: false }, lane.dueVersion)
  lane.add(real, FEED_BEGINNING, false)
  expect(beginAll(lane, NOW_MS).map(({ test = false }) => test)).toEqual([...tries.map(() => true), false])
})

test('a lane’s cursor stands before the first event that is not recorded, whichever others are', () => {
  const lane = new Lane(endpoint, record)
  const all = events(20)
  const last = all.at(-1)?.sequence ?? ''
  lane.addDue({ due: [], nextDueMs: undefined, more: false }, lane.dueVersion)
  lane.add(all, last, false)
  const begun = beginAll(lane, NOW_MS)
  const [first, second, ...others] = begun
  if (first === undefined || second === undefined) throw new Error('there is room for more than one')
  for (const each of others) lane.recorded(each, undefined)
  expect(lane.cursorAfter(new Set())).toBe(FEED_BEGINNING)
  expect(lane.cursorAfter(new Set([first.id]))).toBe(all[0]?.sequence)
  lane.recorded(second, undefined)
  expect(lane.cursorAfter(new Set())).toBe(FEED_BEGINNING)
  lane.recorded(first, undefined)
  expect(lane.cursorAfter(new Set())).toBe(all[begun.length - 1]?.sequence)
  const rest = new Set(all.slice(begun.length).map(({ id }) => deliveryId(endpoint.id, id)))
  expect(lane.cursorAfter(rest)).toBe(last)
})

test('what an endpoint wants no more is not sent, even if it was read before; the rest is, in its order', () => {
  const lane = new Lane({ ...endpoint, mode: 'fifo' }, record)
  const all = events(6).map(
    (event, i): TenantEvent => (i % 2 ? { ...event, type: 'api_key.created' } : event),
  )
  const last = all.at(-1)?.sequence ?? ''
  lane.addDue({ due: [], nextDueMs: undefined, more: false }, lane.dueVersion)
  lane.add(all, last, false)
  const [first] = beginAll(lane, NOW_MS)
  if (first === undefined) throw new Error('one of them is to be sent')
  lane.endpoint = { ...endpoint, mode: 'fifo', types: ['api_key.*'], version: 2 }
  lane.dueIsStale = false
  lane.recorded(first, undefined)
  const sent: string[] = []
  for (let next = lane.next(NOW_MS); next && 'record' in next; next = lane.next(NOW_MS)) {
    lane.begin(next, NOW_MS)
    sent.push(next.event.sequence)
    lane.recorded(next.record, undefined)
  }
  expect(sent).toEqual([1, 3, 5].map((i) => all[i]?.sequence))
  expect(lane.cursorAfter(new Set())).toBe(last)
})
