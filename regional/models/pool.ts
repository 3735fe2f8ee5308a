// The shared pool of calls to one model: so many at the same time, and never all of them one tenant's, so that whoever comes
// finds a place although calls last for minutes. A call that ends makes room for whoever waits and has the fewest under way
// (max-min fairness; Bertsekas and Gallager, "Data Networks", section 6.5); of equals, for who waited longest.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Room } from '../services/agents/models.ts'

/** How a waiting ended: with a place, by its signal, or because the model was switched off. */
type Turn = 'entered' | 'left' | 'off'

interface Waiting {
  tenant: TenantNumber
  end: (turn: Turn) => void
}

/** Callers of one tenant that may wait for one model, and of all tenants together. */
const MAX_WAITING_OF_TENANT = 20
const MAX_WAITING = 200

/** As many as one tenant may have under way: three quarters of a pool, and never its last place. */
export const shareOf = (size: number): number => Math.max(1, size - Math.ceil(size / 4))

class ModelPool {
  /** As large as the model may be used by now. */
  private size = 0
  private readonly underWay = new Map<TenantNumber, number>()
  private waiting: Waiting[] = []
  private total = 0

  roomFor(tenant: TenantNumber): Room {
    if (this.isFree(tenant)) return 'room'
    const waiting = [...Map.groupBy(this.waiting, (each) => each.tenant)]
    const own = waiting.find(([each]) => each === tenant)?.[1].length ?? 0
    if (own >= MAX_WAITING_OF_TENANT) return 'tenant_waits'
    // More of one tenant may wait where many began in the same instant: that is held against nobody else.
    const all = waiting.reduce((sum, [, { length }]) => sum + Math.min(length, MAX_WAITING_OF_TENANT), 0)
    return all < MAX_WAITING ? 'room' : 'all_wait'
  }

  /** Those who wait feel it at once. */
  resize(size: number): void {
    this.size = size
    this.admitWaiting()
  }

  /** Of a model that is switched off: nobody waits for it any more. */
  dismissWaiting(): void {
    for (const { end } of this.waiting) end('off')
  }

  async enter(tenant: TenantNumber, signal: AbortSignal): Promise<Turn> {
    if (signal.aborted) return 'left'
    if (this.isFree(tenant)) {
      this.admit(tenant)
      return 'entered'
    }
    return new Promise((resolve) => {
      const leave = () => waiting.end('left')
      const waiting: Waiting = {
        tenant,
        end: (turn) => {
          signal.removeEventListener('abort', leave)
          this.waiting = this.waiting.filter((each) => each !== waiting)
          resolve(turn)
        },
      }
      signal.addEventListener('abort', leave, { once: true })
      this.waiting.push(waiting)
      this.admitWaiting()
    })
  }

  leave(tenant: TenantNumber): void {
    this.total--
    const left = this.held(tenant) - 1
    if (left > 0) this.underWay.set(tenant, left)
    else this.underWay.delete(tenant)
    this.admitWaiting()
  }

  /** Whoever waits although there is a place has had its share. */
  private isFree(tenant: TenantNumber): boolean {
    return this.total < this.size && this.held(tenant) < shareOf(this.size)
  }

  private admitWaiting(): void {
    while (this.waiting.length > 0) {
      const next = this.waiting.reduce((best, each) =>
        this.held(each.tenant) < this.held(best.tenant) ? each : best,
      )
      if (!this.isFree(next.tenant)) return
      this.admit(next.tenant)
      next.end('entered')
    }
  }

  private admit(tenant: TenantNumber): void {
    this.total++
    this.underWay.set(tenant, this.held(tenant) + 1)
  }

  private held(tenant: TenantNumber): number {
    return this.underWay.get(tenant) ?? 0
  }
}

/** One process's pools, by model. */
export class ModelPools {
  private readonly pools = new Map<string, ModelPool>()

  roomFor(model: string, tenant: TenantNumber, size: number): Room {
    return this.pool(model, size).roomFor(tenant)
  }

  /** The size that each model has by now. One that has none is switched off. */
  resize(sizes: ReadonlyMap<string, number>): void {
    for (const [model, pool] of this.pools) {
      const size = sizes.get(model)
      if (size === undefined) pool.dismissWaiting()
      else pool.resize(size)
    }
  }

  /** Runs `call` in its turn. @returns `off` for a model that was switched off meanwhile; undefined when the signal ended the waiting */
  async inTurn<T>(
    model: string,
    tenant: TenantNumber,
    size: number,
    signal: AbortSignal,
    call: () => Promise<T>,
  ): Promise<T | 'off' | undefined> {
    const pool = this.pool(model, size)
    const turn = await pool.enter(tenant, signal)
    if (turn !== 'entered') return turn === 'off' ? 'off' : undefined
    try {
      return await call()
    } finally {
      pool.leave(tenant)
    }
  }

  private pool(model: string, size: number): ModelPool {
    const pool = this.pools.get(model) ?? new ModelPool()
    pool.resize(size)
    this.pools.set(model, pool)
    return pool
  }
}
