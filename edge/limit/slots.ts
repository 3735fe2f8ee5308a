// Concurrency slots: how many streams and long requests a tenant has open at the same time, over all edges. Its Durable
// Object holds them, or in a workerd of one's own its memory (slots_here.ts). A slot is renewed while its answer flows, given back when the answer ends or the client goes away,
// and runs out by itself when the isolate that held it died.
import type { TenantNumber } from '../../shared/tenant.ts'

/** Without a renewal, each of which is written to disk: seldom enough, and in time for another try where one fails. */
export const SLOT_MS = 90_000
/** With what is sent next, and regions send something on every stream at least every 15 s. */
const RENEW_EVERY_MS = 50_000
/** After a renewal that failed: whoever fails has too much to do already. */
const AGAIN_MS = 5_000
/** Longer than the object takes on the other side of the world. */
const CALL_TIMEOUT_MS = 1_000

export interface SlotSource {
  /** Takes a slot, or renews it under the same id. @returns false when all of them are taken */
  hold(tenant: TenantNumber, id: string, limit: number): Promise<boolean>
  release(tenant: TenantNumber, id: string): Promise<void>
}

export interface SlotDependencies {
  source: SlotSource
  waitUntil: (work: Promise<unknown>) => void
  now?: () => number
}

export interface Slot {
  /** Passes the answer on as it comes, and holds the slot until it is over. */
  during(answer: Response): Response
  release(): void
}

/** `silent`: the object does not answer. */
export type SlotVerdict = { outcome: 'held'; slot: Slot } | { outcome: 'full' } | { outcome: 'silent' }

/** Whether it was to be had; undefined where the object did not say. */
type Held = boolean | undefined

export class Slots {
  private readonly source: SlotSource
  private readonly waitUntil: (work: Promise<unknown>) => void
  private readonly now: () => number

  constructor({ source, waitUntil, now = Date.now }: SlotDependencies) {
    this.source = source
    this.waitUntil = waitUntil
    this.now = now
  }

  async hold(tenant: TenantNumber, id: string, limit: number, client: AbortSignal): Promise<SlotVerdict> {
    const { slot, taken } = this.take(tenant, id, limit)
    if (client.aborted) slot.release()
    client.addEventListener('abort', slot.release)
    const held = await Promise.race([taken, scheduler.wait(CALL_TIMEOUT_MS)])
    if (held) return { outcome: 'held', slot }
    slot.release()
    return { outcome: held === undefined ? 'silent' : 'full' }
  }

  private take(tenant: TenantNumber, id: string, limit: number): { slot: Slot; taken: Promise<Held> } {
    const { source, waitUntil, now } = this
    let renewAtMs = 0
    const hold = (): Promise<Held> => {
      renewAtMs = now() + RENEW_EVERY_MS
      return source.hold(tenant, id, limit).catch(() => {
        renewAtMs = now() + AGAIN_MS
        return undefined
      })
    }
    // Said now, because a request whose client has left has no time to say it: the slot is to be given back then.
    const { promise: givenBack, resolve: give } = Promise.withResolvers<unknown>()
    waitUntil(givenBack)
    let over = false
    const taken = hold()
    let last = taken
    const release = (): void => {
      if (over) return
      over = true
      // After the call that may still take it. What is lost here the slot's own end makes good.
      give(last.then((held) => (held === false ? undefined : source.release(tenant, id))).catch(() => {}))
    }
    const renew = (): void => {
      if (!over && now() >= renewAtMs) last = hold()
    }
    const during = (answer: Response): Response => {
      if (answer.body === null) {
        release()
        return answer
      }
      return new Response(passing(answer.body, { renew, release }), answer)
    }
    return { slot: { during, release }, taken }
  }
}

function passing(
  body: ReadableStream<Uint8Array>,
  { renew, release }: { renew: () => void; release: () => void },
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (done) {
          release()
          controller.close()
          return
        }
        renew()
        controller.enqueue(value)
      } catch (error) {
        release()
        controller.error(error)
      }
    },
    async cancel(reason) {
      release()
      await reader.cancel(reason)
    },
  })
}
