// Values from afar, on a clock of the test's: how old one may be, and what counts while it can't be loaded.
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Dated, Refreshed } from '../../edge/refreshed.ts'

const [FRESH_MS, STALE_MS, KEEP_MS, LOAD_MS] = [100_000, 200_000, 1_000_000, 5_000]

/** What there is afar is `source`: a value, nothing, or an error; each load is counted, and waits where the test says. */
function steered() {
  const state = { nowMs: 1_000_000_000, loads: 0, ageMs: 0, gate: Promise.resolve() }
  const source = { value: 'a' as string | undefined | Error }
  const background: Promise<unknown>[] = []
  const refreshed = new Refreshed<string, string>({
    async load(): Promise<Dated<string> | undefined> {
      state.loads++
      await state.gate
      const { value } = source
      if (value instanceof Error) throw value
      return value === undefined ? undefined : { value, atMs: state.nowMs - state.ageMs }
    },
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    keepMs: KEEP_MS,
    againMs: 30_000,
    loadMs: LOAD_MS,
    capacity: 10,
    waitUntil: (work) => void background.push(work),
    now: () => state.nowMs,
  })
  const get = async (key = 'k') => {
    const had = await refreshed.get(key)
    return had.outcome === 'had' ? had.value : had.outcome
  }
  return { state, source, refreshed, get, background, settled: () => Promise.all(background.splice(0)) }
}

test('a fresh value is served as it is, an older one while the next is fetched', async () => {
  const { state, source, get, settled } = steered()
  expect(await get()).toBe('a')
  source.value = 'b'
  state.nowMs += FRESH_MS - 1
  expect(await get()).toBe('a')
  expect(state.loads).toBe(1)
  state.nowMs += 1
  expect(await get()).toBe('a')
  await settled()
  expect(await get()).toBe('b')
  expect(state.loads).toBe(2)
})

test.each(['b', undefined])('a stale value is not served before it is loaded anew: %s', async (value) => {
  const { state, source, get } = steered()
  await get()
  source.value = value
  state.nowMs += STALE_MS
  // All that come meanwhile wait too.
  expect(await Promise.all([get(), get(), get()])).toEqual(Array(3).fill(value ?? 'absent'))
  expect(state.loads).toBe(2)
})

test('while loading fails a stale value is served, and only the first request waits for that', async () => {
  const { state, source, get, settled } = steered()
  await get()
  source.value = new Error('down')
  state.nowMs += STALE_MS
  expect(await get()).toBe('a')
  expect(state.loads).toBe(2)
  for (const loads of [3, 4]) {
    state.nowMs += 29_000
    let open = () => {}
    state.gate = new Promise((resolve) => {
      open = resolve
    })
    expect(await get()).toBe('a')
    expect(await get()).toBe('a')
    expect(state.loads).toBe(loads)
    open()
    await settled()
  }
  // Long enough after the last failure, it may be over.
  source.value = 'b'
  state.nowMs += 30_000
  expect(await get()).toBe('b')
})

test('a load goes on without the request that began it, since others wait for it', async () => {
  const { state, get, background, settled } = steered()
  let open = () => {}
  state.gate = new Promise((resolve) => {
    open = resolve
  })
  const [first, second] = [get(), get()]
  expect(background.length).toBeGreaterThan(0)
  open()
  await settled()
  expect(await Promise.all([first, second, get()])).toEqual(['a', 'a', 'a'])
  expect(state.loads).toBe(1)
})

test('who waits for what another loads looks less and less often, and hears of it not much later', async () => {
  const { state, get } = steered()
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  state.gate = gate
  let [looks, waitedMs] = [0, 0]
  const wait = vi.spyOn(scheduler, 'wait').mockImplementation(async (ms) => {
    // No longer than half of what it has waited, and a moment.
    expect(ms).toBeLessThanOrEqual(waitedMs / 2 + 5.001)
    looks++
    waitedMs += ms
    if (waitedMs >= 4_000) open()
  })
  onTestFinished(() => wait.mockRestore())
  const first = get()
  expect(await get()).toBe('a')
  await first
  expect(looks).toBeLessThan(30)
})

test('what was forgotten while it was loaded is loaded once more, for all that wait', async () => {
  const { state, source, refreshed, get, settled } = steered()
  let open = () => {}
  const shut = () => {
    state.gate = new Promise((resolve) => {
      open = resolve
    })
  }
  await get()
  state.nowMs += FRESH_MS
  shut()
  expect(await get()).toBe('a')
  expect(state.loads).toBe(2)
  // The running load has read what it was forgotten for, and its time is nearly over.
  state.nowMs += LOAD_MS - 1
  refreshed.forget('k')
  const waiting = [get(), get()]
  open()
  shut()
  await vi.waitFor(() => expect(state.loads).toBe(3))
  source.value = 'b'
  state.nowMs += LOAD_MS - 1
  open()
  expect(await Promise.all(waiting)).toEqual(['b', 'b'])
  await settled()
  expect(await get()).toBe('b')
  expect(state.loads).toBe(3)
})

test('a value that is too old is not served, whatever fails', async () => {
  const { state, source, get } = steered()
  await get()
  source.value = new Error('down')
  state.nowMs += KEEP_MS - 1
  expect(await get()).toBe('a')
  state.nowMs += 1
  expect(await get()).toBe('unavailable')
})

test('a value is as old as its source says, so one that was kept elsewhere lives no longer here', async () => {
  const { state, source, get, settled } = steered()
  state.ageMs = STALE_MS + 1
  expect(await get()).toBe('a')
  state.nowMs += 3_000
  expect(await get()).toBe('a')
  // It was older than asked for, so its source has failed.
  await settled()
  expect(state.loads).toBe(2)
  source.value = new Error('down')
  state.nowMs += KEEP_MS - state.ageMs - 3_001
  expect(await get()).toBe('a')
  state.nowMs += 3_001
  expect(await get()).toBe('unavailable')
})

test('an older value never takes a newer one’s place', async () => {
  const { state, source, get } = steered()
  await get()
  source.value = 'older'
  state.nowMs += STALE_MS
  state.ageMs = STALE_MS + 1
  expect(await get()).toBe('a')
})

test('what is not there is remembered for two seconds, and of a thousand keys at most', async () => {
  const { state, source, get } = steered()
  await get('there')
  source.value = undefined
  for (let i = 0; i < 1_000; i++) expect(await get(`${i}`)).toBe('absent')
  const loads = state.loads
  expect(await get('0')).toBe('absent')
  expect(state.loads).toBe(loads)
  await get('one more')
  expect(await get('0')).toBe('absent')
  expect(state.loads).toBe(loads + 1)
  // The one that was asked for the longest ago had to go.
  expect(await get('1')).toBe('absent')
  expect(state.loads).toBe(loads + 2)
  expect(await get('there')).toBe('a')
  state.nowMs += 2_000
  await get('0')
  expect(state.loads).toBe(loads + 3)
})

test('what was had before a clock went back far is loaded anew, and the new one is kept', async () => {
  const { state, source, get } = steered()
  expect(await get()).toBe('a')
  source.value = 'b'
  state.nowMs -= 3_600_000
  expect([await get(), await get()]).toEqual(['b', 'b'])
  expect(state.loads).toBe(2)
})

test.each([undefined, new Error('down')])(
  'what was not there before a clock went back far is asked for again: %s',
  async (value) => {
    const { state, source, get } = steered()
    source.value = value
    expect(await get()).toBe(value === undefined ? 'absent' : 'unavailable')
    source.value = 'a'
    state.nowMs -= 3_600_000
    expect(await get()).toBe('a')
  },
)
