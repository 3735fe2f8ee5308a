// The Durable Object of a tenant, named by its number: keeps the tenant's ledger. Each call is one synchronous decision,
// and what of it matters is written before it is answered (Durable Objects hold an answer back until their writes are on
// disk), because workerd evicts an idle object after about ten seconds, and its heap with it. Writing takes three fsyncs, on
// the thread that answers requests: so what is so little that it does not matter is not written, and counts as spent when
// the object begins anew (ledger.ts).
import { DurableObject } from 'cloudflare:workers'
import { Lru } from '../lru.ts'
import {
  afterRestart,
  call,
  type Lease,
  type LeaseAnswer,
  type LeaseRequest,
  type Ledger,
  newLedger,
  restored,
  SETTLED_MS,
  standing,
  unwrittenUnits,
} from './ledger.ts'
import { SLOT_MS } from './slots.ts'

/**
 * Far longer than a bucket takes to drain: an object that nobody asked for so long decides as a new one would. So
 * nothing of a tenant that is gone stays at the edge.
 */
const FORGET_AFTER_MS = 24 * 60 * 60 * 1000

/**
 * When this process's objects were asked last, by their ids. One that was evicted after a long time has lost nothing; of
 * one that is not here, or was asked just before it began anew, what was not written counts as spent.
 */
const askedAtMs = new Lru<string, number>(10_000)

/** What lies in the storage. */
interface Written {
  leases: Ledger['leases']
  limit: string
}

export class TenantLimiter extends DurableObject {
  private ledger: Ledger
  private written: Written | undefined
  private isAsked = false
  private willForget = false

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env)
    this.createTables()
    this.ledger = this.load(Date.now())
  }

  /** Takes a concurrency slot, or renews it under the same id. @returns false when `limit` others are held */
  hold(id: string, limit: number): boolean {
    this.forgetOneDay()
    const { sql } = this.ctx.storage
    const nowMs = Date.now()
    sql.exec('DELETE FROM slot WHERE until <= ?', nowMs)
    const [others] = sql.exec<{ n: number }>('SELECT count(*) AS n FROM slot WHERE id <> ?', id)
    if ((others?.n ?? 0) >= limit) return false
    sql.exec('INSERT OR REPLACE INTO slot VALUES (?, ?)', id, nowMs + SLOT_MS)
    return true
  }

  release(id: string): void {
    this.ctx.storage.sql.exec('DELETE FROM slot WHERE id = ?', id)
  }

  lease(request: LeaseRequest): LeaseAnswer {
    this.forgetOneDay()
    const nowMs = Date.now()
    const { ledger, answer } = call(this.ledger, request, nowMs, crypto.randomUUID())
    this.ledger = ledger
    this.isAsked = true
    askedAtMs.set(this.ctx.id.toString(), nowMs)
    this.save(nowMs)
    return answer
  }

  private forgetOneDay(): void {
    if (this.willForget) return
    this.willForget = true
    this.ctx.waitUntil(this.forgetSomeDay())
  }

  private async forgetSomeDay(): Promise<void> {
    const { storage } = this.ctx
    if ((await storage.getAlarm()) === null) await storage.setAlarm(Date.now() + FORGET_AFTER_MS)
  }

  /** Forgets everything, unless it was asked meanwhile. */
  override async alarm(): Promise<void> {
    const isKnown = this.isAsked || this.written !== undefined
    const forgetAtMs = isKnown ? this.ledger.meter.atMs + FORGET_AFTER_MS : 0
    if (Date.now() < forgetAtMs) return this.ctx.storage.setAlarm(forgetAtMs)
    const [held] = this.ctx.storage.sql.exec('SELECT 1 FROM slot WHERE until > ? LIMIT 1', Date.now())
    if (held !== undefined) return this.ctx.storage.setAlarm(Date.now() + FORGET_AFTER_MS)
    await this.ctx.storage.deleteAll()
    this.createTables()
    this.ledger = newLedger(Date.now())
    this.written = undefined
    this.isAsked = false
    this.willForget = false
  }

  private createTables(): void {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS slot (id TEXT PRIMARY KEY, until INTEGER NOT NULL)')
    sql.exec('CREATE TABLE IF NOT EXISTS bucket (id INTEGER PRIMARY KEY, state TEXT NOT NULL)')
    sql.exec(
      'CREATE TABLE IF NOT EXISTS lease (id TEXT PRIMARY KEY, units REAL NOT NULL, settle_by INTEGER NOT NULL)',
    )
  }

  private load(nowMs: number): Ledger {
    const { sql } = this.ctx.storage
    const [bucket] = sql.exec<{ state: string }>('SELECT state FROM bucket')
    if (bucket === undefined) return newLedger(nowMs)
    const leases = new Map<string, Lease>()
    for (const row of sql.exec<{ id: string; units: number; settle_by: number }>('SELECT * FROM lease')) {
      leases.set(row.id, { units: row.units, settleByMs: row.settle_by })
    }
    const { meter, limit } = JSON.parse(bucket.state) as Pick<Ledger, 'meter' | 'limit'>
    this.written = { leases, limit: JSON.stringify(limit) }
    const ledger = restored({ meter, limit, leases }, nowMs)
    const idleMs = nowMs - (askedAtMs.get(this.ctx.id.toString()) ?? nowMs)
    return idleMs > SETTLED_MS ? ledger : afterRestart(ledger, nowMs)
  }

  /** Only what has changed, if it matters. */
  private save(nowMs: number): void {
    const { meter, limit, leases } = this.ledger
    const { written } = this
    const isKnown = written?.limit === JSON.stringify(limit)
    if (isKnown && standing(this.ledger, nowMs) <= unwrittenUnits(limit)) return
    const { sql } = this.ctx.storage
    const before: Ledger['leases'] = written?.leases ?? new Map()
    sql.exec('INSERT OR REPLACE INTO bucket VALUES (1, ?)', JSON.stringify({ meter, limit }))
    for (const id of before.keys()) if (!leases.has(id)) sql.exec('DELETE FROM lease WHERE id = ?', id)
    for (const [id, { units, settleByMs }] of leases) {
      if (!before.has(id)) sql.exec('INSERT OR REPLACE INTO lease VALUES (?, ?, ?)', id, units, settleByMs)
    }
    this.written = { leases, limit: JSON.stringify(limit) }
  }
}
