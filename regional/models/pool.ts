// The shared pool of calls to one model: so many at the same time, and never all of them one tenant's, so that whoever comes
// finds a place although calls last for minutes. A call that ends makes room for whoever waits and has the fewest under way
// (max-min fairness; Bertsekas and Gallager, "Data Networks", section 6.5); of equals, for who waited longest.
import type { TenantNumber } from '../../shared/tenant.ts'

interface Waiting {
  tenant: TenantNumber
  enter: () => void
}

/** Callers of one tenant that may wait for one model, and of all tenants together. */
const MAX_WAITING_OF_TENANT = 20
const MAX_WAITING = 200

/** As many as one tenant may have under way: three quarters of a pool, and never its last place. */
export const shareOf = (size: number): number => Math.max(1, size - Math.ceil(size / 4))

class ModelPool {
  private readonly underWay = new Map<TenantNumber, number>()
  private waiting: Waiting[] = []
  private total = 0

  hasRoom(tenant: TenantNumber, size: number): boolean {
    if (this.isFree(tenant, size)) return true
    const own = this.waiting.filter((each) => each.tenant === tenant).length
    return own < MAX_WAITING_OF_TENANT && this.waiting.length < MAX_WAITING
  }

  /** @returns false when the signal ended the waiting */
  async enter(tenant: TenantNumber, size: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    // The pool may have grown since they began to wait.
    this.admitWaiting(size)
    if (this.isFree(tenant, size)) {
      this.admit(tenant)
      return true
    }
    return new Promise((resolve) => {
      const waiting: Waiting = {
        tenant,
        enter: () => {
          signal.removeEventListener('abort', leave)
          resolve(true)
        },
      }
      const leave = () => {
        this.waiting = this.waiting.filter((each) => each !== waiting)
        resolve(false)
      }
      signal.addEventListener('abort', leave, { once: true })
      this.waiting.push(waiting)
      this.admitWaiting(size)
    })
  }

  leave(tenant: TenantNumber, size: number): void {
    this.total--
    const left = this.held(tenant) - 1
    if (left > 0) this.underWay.set(tenant, left)
    else this.underWay.delete(tenant)
    this.admitWaiting(size)
  }

  /** Whoever waits although there is a place has had its share. */
  private isFree(tenant: TenantNumber, size: number): boolean {
    return this.total < size && this.held(tenant) < shareOf(size)
  }

  private admitWaiting(size: number): void {
    while (this.waiting.length > 0) {
      const next = this.waiting.reduce((best, each) =>
        this.held(each.tenant) < this.held(best.tenant) ? each : best,
      )
      if (!this.isFree(next.tenant, size)) return
      this.waiting = this.waiting.filter((each) => each !== next)
      this.admit(next.tenant)
      next.enter()
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

  hasRoom(model: string, tenant: TenantNumber, size: number): boolean {
    return this.pool(model).hasRoom(tenant, size)
  }

  /** Runs `call` in its turn. @returns undefined when the signal ended the waiting */
  async inTurn<T>(
    model: string,
    tenant: TenantNumber,
    size: number,
    signal: AbortSignal,
    call: () => Promise<T>,
  ): Promise<T | undefined> {
    const pool = this.pool(model)
    if (!(await pool.enter(tenant, size, signal))) return undefined
    try {
      return await call()
    } finally {
      pool.leave(tenant, size)
    }
  }

  private pool(model: string): ModelPool {
    const pool = this.pools.get(model) ?? new ModelPool()
    this.pools.set(model, pool)
    return pool
  }
}
