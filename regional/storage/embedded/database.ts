// The native interface of a database: a handle that makes transactions. Several handles may share one
// storage; closing a handle ends only its own use.
import type { NativeDatabase, NativeTransaction } from '../foundationdb.ts'
import { code, fdbError } from './errors.ts'
import { MAX_WATCHES_LIMIT } from './limits.ts'
import { type OptionValue, option } from './options.ts'
import type { Storage } from './storage.ts'
import { EmbeddedTransaction } from './transaction.ts'
import type { Clock } from './version_clock.ts'

const databaseOption = { maxWatches: 20, snapshotRywEnable: 26, snapshotRywDisable: 27 } as const
/** Database options that are defaults of the transaction options of the same code. */
const defaultOptions = new Set<number>([
  option.timeout,
  option.retryLimit,
  option.maxRetryDelay,
  option.sizeLimit,
])

export class EmbeddedDatabase implements NativeDatabase {
  readonly storage: Storage
  /** Monotonic milliseconds, for time-outs. */
  readonly clock: Clock
  /** From 0 to 1, for the back-off of retries. */
  readonly random: () => number
  snapshotSeesWrites = 1
  readonly #defaults = new Map<number, OptionValue>()
  #open = true

  constructor(storage: Storage, clock: Clock, random: () => number) {
    this.storage = storage
    this.clock = clock
    this.random = random
  }

  createTransaction(): NativeTransaction {
    if (!this.#open || this.storage.isClosed) throw new Error('Cannot create transaction after db closed')
    return new EmbeddedTransaction(this)
  }

  setOption(optionCode: number, param: OptionValue): void {
    if (!this.#open) return
    if (optionCode === databaseOption.maxWatches) {
      if (typeof param !== 'number' || param < 0 || param > MAX_WATCHES_LIMIT)
        throw fdbError(code.invalidOptionValue)
      this.storage.watches.limit = param
    } else if (optionCode === databaseOption.snapshotRywEnable) this.snapshotSeesWrites++
    else if (optionCode === databaseOption.snapshotRywDisable) this.snapshotSeesWrites--
    else if (defaultOptions.has(optionCode)) this.#defaults.set(optionCode, param)
  }

  close(): void {
    this.#open = false
  }

  defaults(): [number, OptionValue][] {
    return [...this.#defaults]
  }
}
