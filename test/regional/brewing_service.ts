// A service for tests whose work goes on outside its transaction: `POST /v1/brews` waits until the test lets it go on.
import { z } from 'zod'
import { jsonSpace, outsideOperation, type Service } from '../../regional/tenancy/service.ts'
import { Problem, type ProblemCode } from '../../shared/problems.ts'

const brews = jsonSpace<[name: string], { outcome: string }>('brew')

export interface Brewery {
  service: Service
  /** Waits until the work on `name` goes on, and ends it. */
  pour(name: string): Promise<void>
  /** Waits until the work on `name` goes on, and has it fail by a mistake of its own. */
  spill(name: string): Promise<void>
  /** Has others be in the way, or the database not answer, so many times when the work on `name` is settled. */
  crowd(name: string, times: number, code?: ProblemCode): void
  /** Keeps the work on `name` from its beginning until it is let go. */
  hold(name: string): { held: Promise<void>; letGo(): void }
  begun(name: string): Promise<void>
  /** How often the work on `name` went on. */
  times(name: string): number
  /** What it came to, once it is settled. */
  settled(name: string): Promise<string>
}

interface Cup {
  times: number
  crowded: number
  crowding: ProblemCode
  /** Called when it is about to begin. */
  about: () => Promise<void>
  begun: PromiseWithResolvers<void>
  poured: PromiseWithResolvers<void>
  settled: PromiseWithResolvers<string>
}

/** So long the work of `POST /v1/short-brews` may take. */
const SHORT_MS = 50

export function brewery(): Brewery {
  const cups = new Map<string, Cup>()
  const cupOf = (name: string): Cup => {
    const cup = cups.get(name) ?? {
      times: 0,
      crowded: 0,
      crowding: 'contention',
      about: async () => {},
      begun: Promise.withResolvers<void>(),
      poured: Promise.withResolvers<void>(),
      settled: Promise.withResolvers<string>(),
    }
    cups.set(name, cup)
    return cup
  }
  const brewing = (name: string, path: string, maxMs: number) =>
    outsideOperation({
      name,
      method: 'post',
      path,
      tag: 'Test',
      summary: 'Brew',
      scope: 'projects:write',
      body: z.strictObject({ name: z.string() }),
      status: 201,
      streams: true,
      answers: { 201: z.object({ id: z.string(), outcome: z.string() }) },
      maxMs,
      async begin(tx, { body: { name } }) {
        await cupOf(name).about()
        await tx.take('projects', 1)
        tx.space(brews).set([name], { outcome: 'running' })
        return { target: name, headers: { location: `/v1/brews/${name}` }, work: name }
      },
      async work(name, { signal, endedBy, send }) {
        const cup = cupOf(name)
        cup.times++
        cup.begun.resolve()
        await send('steam', { name })
        const ended = () => `ended by ${endedBy()}`
        if (signal.aborted) return ended()
        const aborted = new Promise<string>((resolve) =>
          signal.addEventListener('abort', () => resolve(ended())),
        )
        return Promise.race([cup.poured.promise.then(() => 'poured'), aborted])
      },
      async settle(tx, name, outcome) {
        const cup = cupOf(name)
        if (cup.crowded-- > 0) throw new Problem(cup.crowding, 'Others were in the way.')
        await tx.take('projects', -1)
        tx.space(brews).set([name], { outcome })
        tx.emit('run.succeeded', name)
        cupOf(name).settled.resolve(outcome)
        const isInterrupted = outcome === 'ended by region'
        return { status: 201, body: { id: name, outcome }, ...(isInterrupted && { interrupted: true }) }
      },
    })
  const service: Service = {
    name: 'brewing',
    operations: [brewing('brew', '/v1/brews', 60_000), brewing('brew-shortly', '/v1/short-brews', SHORT_MS)],
  }
  return {
    service,
    pour: async (name) => {
      await cupOf(name).begun.promise
      cupOf(name).poured.resolve()
    },
    spill: async (name) => {
      await cupOf(name).begun.promise
      cupOf(name).poured.reject(new Error('spilt'))
    },
    crowd: (name, times, code = 'contention') => {
      Object.assign(cupOf(name), { crowded: times, crowding: code })
    },
    hold(name) {
      const [held, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      cupOf(name).about = () => {
        held.resolve()
        return letGo.promise
      }
      return { held: held.promise, letGo: letGo.resolve }
    },
    begun: (name) => cupOf(name).begun.promise,
    times: (name) => cupOf(name).times,
    settled: (name) => cupOf(name).settled.promise,
  }
}
