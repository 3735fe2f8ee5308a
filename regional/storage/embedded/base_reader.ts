// The reader's SQLite snapshot: one connection that holds a read transaction open at the base version. It is
// never blocked by the writer (WAL). `advance` moves it to the newest committed version.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { WriteFailure } from '../storage_error.ts'
import { causeOf, storedVersionBound } from './data_file.ts'
import { code, fdbError } from './errors.ts'
import { KeptValues } from './kept_values.ts'
import { type Key, keyBytes } from './key.ts'
import type { Changed } from './memtable.ts'
import type { Pair } from './snapshot_range.ts'

/**
 * Rows asked for at first, since SQLite reads all that it is asked for and a row may have 100 kB; more follow by the size seen,
 * each time at most so many times what is there already.
 */
const FIRST_ROWS = 4
const GROWTH = 4

/** SQLite's answer as a Buffer, in place: half the cost of a new view, and there are two for every row. */
const asBuffer = (bytes: Uint8Array): Buffer => Object.setPrototypeOf(bytes, Buffer.prototype)

export class BaseReader {
  readonly #db: DatabaseSync
  readonly #get: StatementSync
  readonly #ascending: StatementSync
  readonly #descending: StatementSync
  readonly #touch: StatementSync
  readonly #begin: StatementSync
  readonly #end: StatementSync
  readonly #measure: StatementSync
  readonly #kept = new KeptValues()
  readonly #onFailure: (failure: WriteFailure) => void
  #open = false
  /** Why there is no snapshot: it could not be moved, and what it shows now is of no version. */
  #lost: Error | undefined
  version = 0

  /** @param onFailure told of what could not be read because the file is damaged */
  constructor(db: DatabaseSync, onFailure: (failure: WriteFailure) => void) {
    this.#db = db
    this.#onFailure = onFailure
    const prepare = (sql: string): StatementSync => {
      const statement = db.prepare(sql)
      statement.setReturnArrays(true)
      return statement
    }
    this.#get = prepare('SELECT value FROM kv WHERE key = ?')
    this.#ascending = prepare('SELECT key, value FROM kv WHERE key >= ? AND key < ? ORDER BY key LIMIT ?')
    this.#descending = prepare(
      'SELECT key, value FROM kv WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?',
    )
    this.#measure = prepare(
      'SELECT key, length(key) + length(value) FROM kv WHERE key >= ? AND key < ? ORDER BY key',
    )
    this.#touch = prepare('SELECT format FROM meta')
    this.#begin = db.prepare('BEGIN')
    this.#end = db.prepare('COMMIT')
    this.advance(storedVersionBound(db), undefined)
  }

  /**
   * Moves the snapshot to what is committed now, of which `version` is the last. `changed`: at least what differs;
   * undefined: anything may. Where that fails, so does every read from then on.
   */
  advance(version: number, changed: Iterable<Changed> | undefined): void {
    if (changed === undefined) this.#kept.clear()
    else for (const { key, value } of changed) this.#kept.replace(key, value)
    try {
      if (this.#open) this.#leave()
      this.#begin.run()
      this.#open = true
      // The first read takes the snapshot.
      this.#touch.get()
    } catch (error) {
      this.#lost = error as Error
      // Some of it is of a version that the snapshot has not come to.
      this.#kept.clear()
      throw error
    }
    this.version = version
  }

  /** SQLite ends the transaction, and may tell of a read in it that had failed. */
  #leave(): void {
    try {
      this.#end.run()
    } catch (error) {
      if (this.#db.isTransaction) throw error
    }
    this.#open = false
  }

  /** @throws {FDBError} 1510, where it is SQLite that can't read */
  #failed(error: unknown): never {
    const cause = causeOf(error)
    if (cause === undefined) throw error
    const { message } = error as Error
    if (cause === 'damage') this.#onFailure({ message, rolledBack: true, damaged: true })
    throw fdbError(code.ioError, message)
  }

  #read<T>(run: () => T): T {
    try {
      if (this.#lost !== undefined) throw this.#lost
      return run()
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** `bytes`: the same key, if the caller has it at hand. The answer is shared: nobody may change it. */
  get(key: Key, bytes?: Buffer): Buffer | undefined {
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    const row = this.#read(() => this.#get.get(bytes ?? keyBytes(key)) as unknown as [Uint8Array] | undefined)
    if (row === undefined) return undefined
    const value = asBuffer(row[0])
    this.#kept.keep(key, value)
    return value
  }

  /** At most `rows` rows of [begin, end). */
  #rows(begin: Uint8Array, end: Uint8Array, rows: number, reverse: boolean): Pair[] {
    const statement = reverse ? this.#descending : this.#ascending
    const found = this.#read(() => statement.all(begin, end, rows) as unknown as [Uint8Array, Uint8Array][])
    for (let i = 0; i < found.length; i++) {
      const pair = found[i] as (typeof found)[number]
      asBuffer(pair[0])
      asBuffer(pair[1])
    }
    return found as Pair[]
  }

  /** Keys and row sizes of [begin, end), for estimates: no more after `rows`, or `bytes`, since SQLite reads a row to pass it. */
  sizes(
    begin: Uint8Array,
    end: Uint8Array,
    { rows, bytes: most }: { rows: number; bytes: number },
  ): { sizes: { key: Buffer; bytes: number }[]; more: boolean } {
    const sizes: { key: Buffer; bytes: number }[] = []
    let total = 0
    return this.#read(() => {
      for (const row of this.#measure.iterate(begin, end)) {
        const [key, bytes] = row as unknown as [Uint8Array, number]
        sizes.push({ key: asBuffer(key), bytes })
        total += bytes
        if (sizes.length === rows || total >= most) return { sizes, more: true }
      }
      return { sizes, more: false }
    })
  }

  /** At most `rows` rows, and no more after `bytes` are full. */
  pairs(
    begin: Buffer,
    end: Buffer,
    rows: number,
    bytes: number,
    reverse: boolean,
    rowOverhead: number,
  ): { pairs: Pair[]; more: boolean } {
    let pairs: Pair[] = []
    let from = begin
    let to = end
    let used = 0
    let want = Math.min(rows, FIRST_ROWS)
    for (;;) {
      const found = this.#rows(from, to, want, reverse)
      for (let i = 0; i < found.length; i++) {
        const pair = found[i] as Pair
        used += pair[0].length + pair[1].length + rowOverhead
        if (used >= bytes || pairs.length + i + 1 >= rows) {
          found.length = i + 1
          return { pairs: pairs.length === 0 ? found : pairs.concat(found), more: true }
        }
      }
      const last = found.at(-1)
      pairs = pairs.length === 0 ? found : pairs.concat(found)
      if (last === undefined || found.length < want) return { pairs, more: false }
      if (reverse) to = last[0]
      else from = Buffer.concat([last[0], ZERO])
      const fitting = Math.ceil(((bytes - used) * pairs.length) / used) + 1
      want = Math.min(rows - pairs.length, fitting, GROWTH * pairs.length)
    }
  }

  close(): void {
    if (this.#open) this.#leave()
    this.#db.close()
  }
}

const ZERO = Buffer.alloc(1)
