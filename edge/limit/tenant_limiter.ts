// A Durable Object that keeps tenants' ledgers and slots: of the one tenant that it is named by, or, on machines of one's own,
// of a share of all of them (lease_source.ts). Each call is one synchronous decision for one tenant, and what of it matters
// is written before it is answered (Durable Objects hold an answer back until their writes are on disk), because workerd
// evicts an idle object after about ten seconds, and its heap with it. Writing takes three fsyncs, on the thread that answers
// requests: so what is so little that it does not matter is not written, and counts as spent when a ledger begins anew
// (ledger.ts).
import { DurableObject } from 'cloudflare:workers'
import type { TenantNumber } from '../../shared/tenant.ts'
import { Lru } from '../lru.ts'
import {
  afterRestart,
  call,
  isSameLimit,
  type Lease,
  type LeaseAnswer,
  type LeaseRequest,
  type Ledger,
  newLedger,
  restored,
  SETTLED_MS,
  standing,
  unwrittenUnits,
  type VersionedLimit,
} from './ledger.ts'
import { SLOT_MS } from './slots.ts'

/**
 * Far longer than a bucket takes to drain: a ledger that nobody asked for so long decides as a new one would. So
 * nothing of a tenant that is gone stays at the edge.
 */
const FORGET_AFTER_MS = 24 * 60 * 60 * 1000
/** An object does not look more often who is gone. */
const FORGET_EVERY_MS = 60 * 60 * 1000
/** In memory. One that is left out is read again when its tenant asks. */
const MOST_LEDGERS = 10_000

/**
 * When tenants asked this process's objects last. A ledger that begins anew long after that has lost nothing; where the
 * tenant is not here, or asked just before, what was not written counts as spent.
 */
const askedAtMs = new Lru<TenantNumber, number>(MOST_LEDGERS)

interface Kept {
  ledger: Ledger
  /** What of it lies in the storage. */
  written: Written | undefined
}

interface Written {
  leases: Ledger['leases']
  limit: VersionedLimit
}

/** What the objects keep that live in this very isolate. Of one that was evicted it may stand here, until it begins anew. */
const keptHere = new Lru<TenantNumber, Kept>(MOST_LEDGERS)

/**
 * The answer that the tenant's object would give, where it lives in this isolate and would write nothing for it: a call costs
 * an isolate many times what the decision does. Only for a workerd of one's own, where no object ever lives elsewhere.
 * @returns undefined where the object itself has to be asked; nothing is decided then
 */
export function leaseHere(
  tenant: TenantNumber,
  request: LeaseRequest,
  nowMs: number,
): LeaseAnswer | undefined {
  const kept = keptHere.get(tenant)
  if (kept?.written === undefined || request.ahead > 0) return undefined
  const { ledger, answer } = call(kept.ledger, request, nowMs, NO_LEASE)
  if (!answer.admitted || !isNegligible(ledger, kept.written, nowMs)) return undefined
  kept.ledger = ledger
  askedAtMs.set(tenant, nowMs)
  return answer
}

const NO_LEASE = ''

/** So little has changed that nothing has to be written. */
const isNegligible = (ledger: Ledger, written: Written | undefined, nowMs: number): boolean =>
  written !== undefined &&
  isSameLimit(written.limit, ledger.limit) &&
  standing(ledger, nowMs) <= unwrittenUnits(ledger.limit)

export class TenantLimiter extends DurableObject {
  private readonly kept = new Lru<TenantNumber, Kept>(MOST_LEDGERS)
  private willForget = false

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env)
    this.createTables()
  }

  /**
   * Takes a concurrency slot, or renews the one that is held under this id, whatever the limit is by then.
   * @returns false when there are as many as `limit`
   */
  hold(tenant: TenantNumber, id: string, limit: number): boolean {
    this.forgetOneDay()
    const { sql } = this.ctx.storage
    const nowMs = Date.now()
    sql.exec('DELETE FROM slots WHERE tenant = ? AND until <= ?', String(tenant), nowMs)
    const [held] = sql.exec<{ n: number; own: number }>(
      'SELECT count(*) AS n, coalesce(sum(id = ?), 0) AS own FROM slots WHERE tenant = ?',
      id,
      String(tenant),
    )
    if (held !== undefined && held.own === 0 && held.n >= limit) return false
    sql.exec('INSERT OR REPLACE INTO slots VALUES (?, ?, ?)', String(tenant), id, nowMs + SLOT_MS)
    return true
  }

  release(tenant: TenantNumber, id: string): void {
    this.ctx.storage.sql.exec('DELETE FROM slots WHERE tenant = ? AND id = ?', String(tenant), id)
  }

  lease(tenant: TenantNumber, request: LeaseRequest): LeaseAnswer {
    this.forgetOneDay()
    const nowMs = Date.now()
    const kept = this.kept.get(tenant) ?? this.load(tenant, nowMs)
    const { ledger, answer } = call(kept.ledger, request, nowMs, crypto.randomUUID())
    kept.ledger = ledger
    kept.written = this.save(tenant, ledger, kept.written, nowMs)
    this.kept.set(tenant, kept)
    keptHere.set(tenant, kept)
    askedAtMs.set(tenant, nowMs)
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

  /** Forgets tenants that have not asked for so long; everything, where that is all. */
  override async alarm(): Promise<void> {
    const { storage } = this.ctx
    const nowMs = Date.now()
    const untilMs = nowMs - FORGET_AFTER_MS
    const forgotten = storage.sql.exec<{ tenant: string }>(
      'SELECT tenant FROM buckets WHERE at <= ?',
      untilMs,
    )
    for (const { tenant } of forgotten.toArray()) {
      const asked = askedAtMs.get(BigInt(tenant) as TenantNumber) ?? 0
      if (asked > untilMs) storage.sql.exec('UPDATE buckets SET at = ? WHERE tenant = ?', asked, tenant)
      else this.forget(tenant)
    }
    storage.sql.exec('DELETE FROM slots WHERE until <= ?', nowMs)
    const [oldest] = storage.sql.exec<{ at: number | null }>(
      'SELECT min(at) AS at FROM (SELECT at FROM buckets UNION ALL SELECT until FROM slots)',
    )
    // Of many tenants not each by itself.
    if (oldest?.at) return storage.setAlarm(Math.max(oldest.at + FORGET_AFTER_MS, nowMs + FORGET_EVERY_MS))
    await storage.deleteAll()
    this.createTables()
    this.willForget = false
  }

  private forget(tenant: string): void {
    const { sql } = this.ctx.storage
    sql.exec('DELETE FROM buckets WHERE tenant = ?', tenant)
    sql.exec('DELETE FROM leases WHERE tenant = ?', tenant)
    this.kept.delete(BigInt(tenant) as TenantNumber)
    keptHere.delete(BigInt(tenant) as TenantNumber)
  }

  private createTables(): void {
    const { sql } = this.ctx.storage
    sql.exec(
      'CREATE TABLE IF NOT EXISTS slots (tenant TEXT, id TEXT, until INTEGER NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID',
    )
    sql.exec(
      'CREATE TABLE IF NOT EXISTS buckets (tenant TEXT PRIMARY KEY, at INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID',
    )
    sql.exec(
      'CREATE TABLE IF NOT EXISTS leases (tenant TEXT, id TEXT, units REAL NOT NULL, settle_by INTEGER NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID',
    )
  }

  private load(tenant: TenantNumber, nowMs: number): Kept {
    const { sql } = this.ctx.storage
    const [bucket] = sql.exec<{ state: string }>('SELECT state FROM buckets WHERE tenant = ?', String(tenant))
    if (bucket === undefined) return { ledger: newLedger(nowMs), written: undefined }
    const leases = new Map<string, Lease>()
    for (const row of sql.exec<{ id: string; units: number; settle_by: number }>(
      'SELECT id, units, settle_by FROM leases WHERE tenant = ?',
      String(tenant),
    )) {
      leases.set(row.id, { units: row.units, settleByMs: row.settle_by })
    }
    const { meter, limit } = JSON.parse(bucket.state) as Pick<Ledger, 'meter' | 'limit'>
    const ledger = restored({ meter, limit, leases }, nowMs)
    const idleMs = nowMs - (askedAtMs.get(tenant) ?? nowMs)
    return {
      ledger: idleMs > SETTLED_MS ? ledger : afterRestart(ledger, nowMs),
      written: { leases, limit },
    }
  }

  /** Only what has changed, if it matters. @returns what is written now */
  private save(
    tenant: TenantNumber,
    ledger: Ledger,
    written: Written | undefined,
    nowMs: number,
  ): Written | undefined {
    if (isNegligible(ledger, written, nowMs)) return written
    const { meter, limit, leases } = ledger
    const { sql } = this.ctx.storage
    const [key, before] = [String(tenant), written?.leases ?? new Map()]
    sql.exec('INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)', key, nowMs, JSON.stringify({ meter, limit }))
    for (const id of before.keys()) {
      if (!leases.has(id)) sql.exec('DELETE FROM leases WHERE tenant = ? AND id = ?', key, id)
    }
    for (const [id, { units, settleByMs }] of leases) {
      if (!before.has(id))
        sql.exec('INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)', key, id, units, settleByMs)
    }
    return { leases, limit }
  }
}
