import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Admission, type Asking, WaitEnded } from '../../regional/admission/admission.ts'
import type { CostMeter } from '../../regional/admission/cost.ts'
import { Estimates } from '../../regional/admission/estimates.ts'
import { LoadMeter } from '../../regional/admission/load.ts'
import { during, noteBusy, RequestNote } from '../../regional/observe/request.ts'
import { ConcurrencyLimit } from '../../shared/concurrency_limit.ts'
import { Problem, type ProblemCode } from '../../shared/problems.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const tenant = (n: number) => asTenantNumber(BigInt(n))

/** Requests that are under way until they are told to end. */
class Requests {
  readonly admission: Admission
  readonly begun: string[] = []
  readonly refused: Problem[] = []
  readonly clock = { nowMs: 1_000_000 }
  private readonly ends = new Map<string, () => void>()
  private readonly meters = new Map<string, CostMeter>()
  private readonly all: Array<Promise<void>> = []

  constructor(isolated: (n: number) => boolean = () => false, onUse: (n: number) => void = () => {}) {
    this.admission = new Admission({
      now: () => this.clock.nowMs,
      isolated: (number) => isolated(Number(number)),
      onUse: (number) => onUse(Number(number)),
    })
  }

  ask(name: string, n: number, asking: Partial<Asking> & { units?: number; background?: true } = {}): void {
    const { units = 2, background, ...rest } = asking
    const asked = { tenant: tenant(n), weight: 1, operation: 'read', ...rest }
    const run = background
      ? this.admission.background.bind(this.admission)
      : this.admission.run.bind(this.admission)
    const done = run(asked, async (meter) => {
      this.begun.push(name)
      this.meters.set(name, meter)
      await new Promise<void>((resolve) => this.ends.set(name, resolve))
      meter.busy((units - meter.total) / 10)
    })
    this.all.push(
      done.catch((error: unknown) => {
        if (error instanceof Problem) this.refused.push(error)
      }),
    )
  }

  /** @returns what ends the commit */
  commit(name: string): () => Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.meters.get(name)?.commit(promise)
    return () => {
      resolve()
      return settled()
    }
  }

  async end(name: string): Promise<void> {
    this.ends.get(name)?.()
    this.ends.delete(name)
    await settled()
  }

  async endAll(): Promise<void> {
    while (this.ends.size > 0) for (const name of [...this.ends.keys()]) await this.end(name)
    await Promise.all(this.all)
  }
}

/** Lets everything that can go on go on. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('what the database holds back', () => {
  const asked: Asking = { tenant: tenant(1), weight: 1, operation: 'read' }
  const failing = (times: number, code: ProblemCode = 'overloaded') => {
    const work = vi.fn(async () => {
      if (work.mock.calls.length <= times) throw new Problem(code, 'Not now.')
      return 'done'
    })
    return work
  }
  const admission = () => new Admission({ now: Date.now })
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] }))
  afterEach(() => void vi.useRealTimers())

  test('is tried again in later turns once it has begun, and holds no room between them', async () => {
    const at = admission()
    const work = failing(2)
    const done = Promise.all([at.run({ ...asked, begun: true }, work), at.background(asked, failing(1))])
    await settled()
    expect(at.load().underWay).toBe(0)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await done).toEqual(['done', 'done'])
    expect(work).toHaveBeenCalledTimes(3)
  })

  test('is refused at once where it has not begun, or for another reason', async () => {
    const at = admission()
    await expect(at.run(asked, failing(1))).rejects.toMatchObject({ code: 'overloaded' })
    await expect(at.background(asked, failing(1, 'contention'))).rejects.toMatchObject({ code: 'contention' })
  })

  test('is given up after ten seconds, and when nobody waits for it any more', async () => {
    const at = admission()
    const held = expect(at.background(asked, failing(1_000))).rejects.toMatchObject({ code: 'overloaded' })
    await vi.advanceTimersByTimeAsync(11_000)
    await held
    const asker = new AbortController()
    const left = expect(at.background({ ...asked, asker }, failing(1_000))).rejects.toThrow(WaitEnded)
    await settled()
    asker.abort()
    await left
  })
})

test.each([true, false])(
  'what a request takes is charged once, and noted, with admission on: %s',
  async (on) => {
    const charged: number[] = []
    const admission = new Admission({
      now: Date.now,
      on,
      onUse: (_tenant, _weight, units) => void charged.push(units),
    })
    const asking: Asking = { tenant: tenant(1), weight: 1, operation: 'records.create' }
    const note = new RequestNote(0)
    await during(note, async () => {
      await admission.run(asking, async () => noteBusy(20))
      await admission.run(asking, async () => {})
    })
    expect(charged[0]).toBeGreaterThan(200)
    expect(charged[1]).toBeLessThan(1)
    expect(note.units).toBeCloseTo(charged.reduce((sum, units) => sum + units))
  },
)

describe('admission', () => {
  let requests: Requests
  afterEach(async () => {
    vi.restoreAllMocks()
    vi.useRealTimers()
    await requests.endAll()
  })

  /** All there is, taken by others. */
  async function fill(): Promise<void> {
    for (let n = 100; n < 228; n++) requests.ask(`filling ${n}`, n)
    await settled()
    expect(requests.admission.load()).toMatchObject({ underWay: 128, waiting: 0 })
  }

  test('lets everybody in at once while there is room', async () => {
    requests = new Requests()
    for (let n = 1; n <= 30; n++) requests.ask(`tenant ${n}`, n)
    await settled()
    expect(requests.begun).toHaveLength(30)
    expect(requests.admission.load()).toMatchObject({ waiting: 0, underWay: 30 })
  })

  test('a tenant alone leaves room, so that whoever comes next begins at once', async () => {
    requests = new Requests()
    for (let i = 0; i < 200; i++) requests.ask(`noisy ${i}`, 1)
    await settled()
    const { underWay, waiting } = requests.admission.load()
    expect(underWay).toBeGreaterThan(80)
    expect(waiting).toBeGreaterThan(50)
    requests.ask('quiet', 2)
    await settled()
    expect(requests.begun.at(-1)).toBe('quiet')
  })

  test('who waits is served in turns, not in the order of coming', async () => {
    requests = new Requests()
    for (let n = 100; n < 228; n++) requests.ask(`filling ${n}`, n)
    for (let i = 0; i < 50; i++) requests.ask(`noisy ${i}`, 1)
    requests.ask('quiet', 2)
    await settled()
    expect(requests.begun).not.toContain('quiet')
    const before = requests.begun.length
    for (const name of requests.begun.slice(0, 12)) await requests.end(name)
    const next = requests.begun.slice(before)
    expect(next).toContain('quiet')
    expect(next.length).toBeLessThan(20)
  })

  test('a large request leaves room beside it, and the next of its kind is known to be large', async () => {
    requests = new Requests()
    requests.ask('first', 1, { operation: 'large', units: 5_000 })
    await settled()
    await requests.end('first')
    for (let i = 0; i < 20; i++) requests.ask(`large ${i}`, 1, { operation: 'large', units: 5_000 })
    await settled()
    expect(requests.admission.load().underWay).toBeLessThanOrEqual(7)
    requests.ask('quiet', 2)
    await settled()
    expect(requests.begun.at(-1)).toBe('quiet')
  })

  test('background work comes behind requests, and is never refused', async () => {
    requests = new Requests()
    for (let i = 0; i < 300; i++) requests.ask(`step ${i}`, 1, { background: true })
    await settled()
    const steps = requests.begun.length
    expect(steps).toBeLessThan(60)
    for (let i = 0; i < 60; i++) requests.ask(`request ${i}`, 1)
    await settled()
    expect(requests.begun.filter((name) => name.startsWith('request')).length).toBeGreaterThan(steps / 2)
    requests.clock.nowMs += 60_000
    await requests.endAll()
    expect(requests.refused).toEqual([])
    expect(requests.begun).toHaveLength(360)
  })

  test('many streams that read on keep no request of their tenant out, and count as what it asks for', async () => {
    const asked: number[] = []
    requests = new Requests(undefined, (n) => asked.push(n))
    for (let i = 0; i < 1_000; i++) requests.ask(`batch ${i}`, 1, { begun: true })
    for (let i = 0; i < 20; i++) requests.ask(`read ${i}`, 1)
    await settled()
    expect(requests.refused).toEqual([])
    await requests.endAll()
    expect(requests.begun).toHaveLength(1_020)
    expect(asked).toHaveLength(1_020)
  })

  test('who goes away while it waits is not served', async () => {
    requests = new Requests()
    for (let i = 0; i < 150; i++) requests.ask(`before ${i}`, 1)
    await settled()
    const gone = new AbortController()
    requests.ask('gone', 1, { asker: gone })
    await settled()
    expect(requests.admission.load().waiting).toBeGreaterThan(0)
    gone.abort()
    await requests.endAll()
    expect(requests.begun).not.toContain('gone')
    expect(requests.refused).toEqual([])
  })

  test('who is served at once is asked for no signal: a request makes one when it is asked', async () => {
    requests = new Requests()
    class Asker {
      asked = 0
      get signal(): AbortSignal {
        this.asked++
        return new AbortController().signal
      }
    }
    const asker = new Asker()
    requests.ask('at once', 1, { asker })
    await requests.endAll()
    expect(requests.begun).toEqual(['at once'])
    expect(asker.asked).toBe(0)
  })

  test('background work has a quarter of the weight that requests of the same plan have', async () => {
    requests = new Requests()
    // The limit stays what it is.
    vi.spyOn(performance, 'now').mockReturnValue(0)
    for (let n = 100; n < 228; n++) requests.ask(`filling ${n}`, n)
    await settled()
    for (let i = 0; i < 100; i++) {
      requests.ask(`step ${i}`, 1, { background: true, weight: 16 })
      requests.ask(`request ${i}`, 2, { weight: 16 })
      requests.ask(`free ${i}`, 3, { background: true, weight: 1 })
    }
    // One place at a time, and whoever got one gives it back at once: turns alone decide.
    const [place = ''] = requests.begun
    await requests.end(place)
    for (let i = 128; i < 228; i++) await requests.end(requests.begun[i] ?? '')
    const of = (name: string) => requests.begun.filter((each) => each.startsWith(name)).length
    expect(of('request') / of('step')).toBeGreaterThan(3)
    expect(of('request') / of('step')).toBeLessThan(5)
    expect(of('step') / Math.max(1, of('free'))).toBeGreaterThan(8)
  })

  test.each([1, 10, 100])(
    'of %i tenants on each of two plans, who weighs 16 times as much is served so much more',
    async (count) => {
      // The limit stays what it is.
      vi.spyOn(performance, 'now').mockReturnValue(0)
      const UNITS = 2
      const admission = new Admission({ now: () => 1_000_000 })
      const served = { large: 0, small: 0 }
      const ends: Array<() => void> = []
      let isOver = false
      const client = async (n: number, plan: keyof typeof served, weight: number) => {
        while (!isOver) {
          await admission.run({ tenant: tenant(n), weight, operation: 'change' }, async (meter) => {
            served[plan]++
            meter.busy((UNITS - meter.total) / 10)
            await new Promise<void>((resolve) => ends.push(resolve))
          })
        }
      }
      const clients: Array<Promise<void>> = []
      // Each wants more than there is for it.
      for (let n = 1; n <= count; n++) {
        for (let i = 0; i < Math.min(100, 1_500 / count); i++) {
          clients.push(client(n, 'large', 16), client(1_000 + n, 'small', 1))
        }
      }
      await settled()
      for (let i = 0; i < 5_000; i++) {
        // What requests cost is known by then.
        if (i === 1_000) Object.assign(served, { large: 0, small: 0 })
        ends.shift()?.()
        await settled()
      }
      expect(served.large / served.small).toBeGreaterThan(8)
      expect(served.large / served.small).toBeLessThan(24)
      isOver = true
      for (; ends.length > 0; await settled()) ends.shift()?.()
      await Promise.all(clients)
    },
  )

  test('background work keeps its place when everything that may wait does', async () => {
    requests = new Requests()
    for (let n = 1_000; n < 1_128; n++) requests.ask(`filling ${n}`, n)
    for (let i = 0; i < 4; i++) requests.ask(`step ${i}`, 1, { background: true })
    for (let n = 2_000; n < 6_100; n++) requests.ask(`request ${n}`, n)
    await settled()
    expect(requests.admission.load().waiting).toBe(4_100)
    expect(requests.refused.length).toBe(4)
    await requests.endAll()
    expect(requests.begun.filter((name) => name.startsWith('step'))).toHaveLength(4)
  })

  test('an isolated tenant gets less of what is free', async () => {
    const underWay = async (isolated: boolean) => {
      requests = new Requests(() => isolated)
      for (let i = 0; i < 200; i++) requests.ask(`${i}`, 1)
      await settled()
      const { underWay } = requests.admission.load()
      await requests.endAll()
      return underWay
    }
    expect(await underWay(true)).toBeLessThan((await underWay(false)) * 0.6)
  })

  test('an isolated tenant has a quarter of its weight in turns', async () => {
    requests = new Requests((n) => n === 1)
    // The limit stays what it is.
    vi.spyOn(performance, 'now').mockReturnValue(0)
    for (let n = 100; n < 228; n++) requests.ask(`filling ${n}`, n)
    await settled()
    for (let i = 0; i < 100; i++) {
      requests.ask(`isolated ${i}`, 1, { weight: 16 })
      requests.ask(`other ${i}`, 2, { weight: 16 })
    }
    // As above: with one place, which is free again at once, its smaller share of what is free is in nobody's way.
    const [place = ''] = requests.begun
    await requests.end(place)
    for (let i = 128; i < 228; i++) await requests.end(requests.begun[i] ?? '')
    const of = (name: string) => requests.begun.filter((each) => each.startsWith(name)).length
    expect(of('other') / of('isolated')).toBeGreaterThan(3)
    expect(of('other') / of('isolated')).toBeLessThan(5)
  })

  test('refuses with 503 and Retry-After what would wait too long: at once, or when its time is over', async () => {
    requests = new Requests()
    for (let i = 0; i < 400; i++) requests.ask(`${i}`, 1)
    await settled()
    // Its queue is full: the last ones were refused at once.
    const atOnce = requests.refused.length
    expect(atOnce).toBeGreaterThan(100)
    requests.clock.nowMs += 1_100
    requests.ask('late', 2, { deadlineMs: requests.clock.nowMs + 20 })
    while (requests.refused.length < 290) await settled()
    for (const { code, extras } of requests.refused) {
      expect(code).toBe('overloaded')
      expect(Number(extras.headers?.['retry-after'])).toBeGreaterThanOrEqual(1)
    }
    expect(requests.admission.load().waiting).toBe(0)
  })

  describe('while there is room for nobody', () => {
    let fromMs = 0
    beforeEach(async () => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
      // The limit stays what it is.
      vi.spyOn(performance, 'now').mockReturnValue(0)
      requests = new Requests()
      await fill()
      fromMs = requests.clock.nowMs
    })

    /** So many are refused by then. */
    async function refusedBy(ms: number): Promise<number> {
      requests.clock.nowMs = fromMs + ms
      vi.advanceTimersToNextTimer()
      await settled()
      return requests.refused.length
    }

    test('who waits is refused after a second, or so long before its deadline that the work could not be done', async () => {
      requests.ask('patient', 1)
      requests.ask('in a hurry', 2, { deadlineMs: fromMs + 300 })
      expect([await refusedBy(249), await refusedBy(250)]).toEqual([0, 1])
      expect([await refusedBy(999), await refusedBy(1_000)]).toEqual([1, 2])
    })

    test('in a queue that has not been empty for a second, who comes is refused after 200 ms', async () => {
      requests.ask('first', 1)
      await refusedBy(900)
      requests.ask('second', 1)
      expect(await refusedBy(1_001)).toBe(1)
      requests.ask('third', 1)
      requests.ask('elsewhere', 2)
      expect([await refusedBy(1_200), await refusedBy(1_201)]).toEqual([1, 2])
      expect([await refusedBy(1_899), await refusedBy(1_900)]).toEqual([2, 3])
    })

    test('who would wait too long, as its queue goes, is refused at once, and told how long that is', async () => {
      for (let i = 0; i < 100; i++) requests.ask(`waiting ${i}`, 1)
      // Ten a second.
      for (let i = 0; i < 8; i++) {
        requests.clock.nowMs += 100
        await requests.end(i === 0 ? 'filling 100' : `waiting ${i - 1}`)
      }
      expect(requests.begun.at(-1)).toBe('waiting 7')
      requests.ask('hopeless', 1)
      requests.ask('elsewhere', 2)
      await settled()
      expect(requests.refused.map(({ extras }) => extras.headers?.['retry-after'])).toEqual(['10'])
      for (const name of ['waiting 7', 'waiting 8']) await requests.end(name)
      expect(requests.begun).toContain('elsewhere')
    })

    test('what turned out to cost more than was thought is paid by the turns that come', async () => {
      for (let i = 0; i < 100; i++) {
        // Of each operation nothing is known before.
        requests.ask(`dear ${i}`, 1, { operation: `dear ${i}`, units: 100 })
        requests.ask(`cheap ${i}`, 2)
      }
      await requests.end('filling 100')
      for (let i = 128; i < 228; i++) await requests.end(requests.begun[i] ?? '')
      const of = (name: string) => requests.begun.filter((each) => each.startsWith(name)).length
      expect(of('dear')).toBeLessThan(5)
      expect(of('cheap')).toBeGreaterThan(95)
    })
  })

  test('how long requests take decides how many may be under way', async () => {
    requests = new Requests()
    let nowMs = 1_000
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
    const limitAfter = async (tookMs: number) => {
      for (let n = 1; n <= 100; n++) requests.ask(`${n}`, n)
      await settled()
      nowMs += tookMs
      // Those first that came when many were under way.
      for (const name of requests.begun.slice(-50)) await requests.end(name)
      await requests.endAll()
      return requests.admission.load().limitUnits
    }
    const quick = await limitAfter(20)
    expect(quick).toBeGreaterThan(256)
    await limitAfter(200)
    expect(await limitAfter(200)).toBeLessThan(quick)
  })

  test('requests whose commits wait for the disk leave their room to others', async () => {
    requests = new Requests()
    await fill()
    requests.ask('reading', 1)
    await settled()
    expect(requests.begun).not.toContain('reading')
    const committed = requests.commit('filling 100')
    await settled()
    expect(requests.begun).toContain('reading')
    expect(requests.admission.load()).toMatchObject({ underWay: 129, underWayUnits: 256 })
    await committed()
    expect(requests.admission.load()).toMatchObject({ underWay: 129, underWayUnits: 258 })
    requests.ask('next', 2)
    await settled()
    expect(requests.begun).not.toContain('next')
  })

  test('however long the disk stands still, so much waits for it and no more, and of one tenant a part', async () => {
    requests = new Requests()
    let asked = 0
    const commitOne = async (n: number) => {
      const name = `committing ${asked++}`
      requests.ask(name, n)
      await settled()
      const before = requests.admission.load().underWayUnits
      requests.commit(name)
      return before - requests.admission.load().underWayUnits
    }
    let aside = 0
    for (let units = await commitOne(1); units > 0; units = await commitOne(1)) aside += units
    expect(aside).toBe(3_072)
    for (let n = 2; n < 100; n++)
      for (let units = await commitOne(n); units > 0; units = await commitOne(n)) aside += units
    expect(aside).toBeGreaterThan(4_000)
    expect(aside).toBeLessThanOrEqual(4_096)
    await requests.endAll()
    expect(requests.admission.load()).toMatchObject({ underWay: 0, underWayUnits: 0 })
    expect(requests.admission.known).toBe(0)
  })

  test.each(['aside', 'where no place is left aside'])(
    'how long commits take says nothing of how many may be under way: %s',
    async (which) => {
      requests = new Requests()
      let nowMs = 1_000
      vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
      for (let n = 0; n < 3_000; n++) requests.ask(`${n}`, 1 + (n % 100))
      const ends: Array<[name: string, committed: () => Promise<void>]> = []
      for (let at = 0; at < requests.begun.length; at++) {
        const name = requests.begun[at] ?? ''
        ends.push([name, requests.commit(name)])
        await settled()
      }
      const { underWayUnits, limitUnits } = requests.admission.load()
      expect(underWayUnits).toBe(limitUnits)
      for (const [name, committed] of which === 'aside' ? ends.slice(0, 128) : ends.slice(-128)) {
        nowMs += 10
        await committed()
        await requests.end(name)
      }
      expect(requests.admission.load().limitUnits).toBeGreaterThan(limitUnits)
    },
  )

  test('is over for whoever is waited for no more', async () => {
    requests = new Requests()
    const gone = new AbortController()
    for (let i = 0; i < 300; i++) requests.ask(`${i}`, 1, { background: true, asker: gone })
    await settled()
    gone.abort(new Error('stopped'))
    while (requests.admission.load().waiting > 0) await settled()
    const begun = requests.begun.length
    await requests.endAll()
    expect(requests.begun).toHaveLength(begun)
  })

  test('keeps nothing of tenants that have nothing waiting or under way', async () => {
    requests = new Requests()
    for (let n = 1; n <= 3_000; n++) {
      requests.ask(`${n}`, n)
      await requests.end(`${n}`)
    }
    await requests.endAll()
    expect(requests.admission.known).toBe(0)
  })

  test('a failed request gives its place back', async () => {
    requests = new Requests()
    const asking = { tenant: tenant(1), weight: 1, operation: 'read' }
    const failing = requests.admission.run(asking, async () => {
      throw new Error('on purpose')
    })
    await expect(failing).rejects.toThrow('on purpose')
    expect(requests.admission.load()).toMatchObject({ underWay: 0, underWayUnits: 0 })
  })
})

test('what an operation costs is known by tenant; for one that has not asked it, by what it cost others at first', () => {
  const estimates = new Estimates<string>()
  expect(estimates.of('large', 'list')).toBe(2)
  estimates.measured('large', 'list', 500)
  expect(estimates.of('small', 'list')).toBe(500)
  estimates.measured('small', 'list', 1)
  for (let i = 0; i < 20; i++) estimates.measured('large', 'list', 500)
  expect([estimates.of('large', 'list'), estimates.of('small', 'list')]).toEqual([500, 1])
  expect(estimates.of('another', 'list')).toBeCloseTo(400, -1)
  expect(estimates.of('large', 'read')).toBe(2)
})

describe('the concurrency limit', () => {
  const options = { least: 64, first: 256, most: 1_024, targetMs: 25 }
  let nowMs = 0
  const answer = (limit: ConcurrencyLimit, times: number, tookMs: number, underWay: number, op = 'read') => {
    for (let i = 0; i < times; i++, nowMs += 5) limit.answered(op, tookMs, underWay, nowMs)
  }

  test('shrinks while requests take longer than they should, and grows while it is used and they do not', () => {
    const limit = new ConcurrencyLimit(options)
    answer(limit, 2_000, 80, 256)
    // The first ones taught it nothing else: even its shortest time is above the target.
    answer(limit, 1, 1, 1)
    answer(limit, 2_000, 80, 256)
    expect(limit.limit).toBe(64)
    answer(limit, 4_000, 5, 64)
    expect(limit.limit).toBeGreaterThan(120)
  })

  test('does not grow where it is not used', () => {
    const limit = new ConcurrencyLimit(options)
    answer(limit, 2_000, 5, 10)
    expect(limit.limit).toBe(256)
  })

  test('takes an operation that is slow by nature for no congestion, until it gets slower', () => {
    const limit = new ConcurrencyLimit(options)
    answer(limit, 2_000, 400, 10, 'slow')
    expect(limit.limit).toBe(256)
    answer(limit, 500, 1_500, 10, 'slow')
    expect(limit.limit).toBeLessThan(256)
  })

  test('learns from a refusal that comes at once nothing of what the operation takes', () => {
    const limit = new ConcurrencyLimit(options)
    answer(limit, 20, 400, 10, 'slow')
    limit.answered('slow', 0.1, 10, nowMs, false)
    answer(limit, 500, 400, 10, 'slow')
    expect(limit.limit).toBe(256)
  })
})

describe('load', () => {
  test('overloaded is believed after three seconds, and forgotten after three', () => {
    const meter = new LoadMeter(() => 0.5)
    const second = (waitMs: number) => {
      for (let n = 1; n <= 3; n++) meter.admitted(waitMs, tenant(n))
      meter.tick(0.9)
      return meter.latest.overloaded
    }
    expect([150, 150, 150, 150].map(second)).toEqual([false, false, true, true])
    expect([70, 70, 20, 150, 20, 20, 20].map(second)).toEqual([true, true, true, true, true, true, false])
    expect(meter.latest).toMatchObject({ utilisation: 0.9, queueWaitMs: 20, admitted: 3, refused: 0 })
  })

  test.each([
    ['one that floods, beside others', [900, 900, 900, 900, 1, 1, 2], false],
    ['one that floods, beside one other', [900, 900, 900, 1], false],
    ['one, with nobody beside it', [900, 900, 900], true],
    ['both that there are', [900, 900, 900, 800], true],
    ['two that flood, beside a third', [900, 900, 900, 800, 1], false],
    ['most of them', [900, 900, 900, 900, 800, 700, 1], true],
  ])('waiting is what most tenants feel: %s', (_what, waitsMs, isOverloaded) => {
    const meter = new LoadMeter(() => 1)
    // The first three are of one tenant.
    const tenantOf = (i: number) => tenant(Math.max(1, i - 1))
    for (let second = 0; second < 4; second++) {
      for (const [i, ms] of waitsMs.entries()) meter.admitted(ms, tenantOf(i))
      meter.tick(1)
    }
    expect(meter.latest.overloaded).toBe(isOverloaded)
  })
})
