// Transaction options: which codes exist, what a value must look like, and what those with a meaning in one
// process do. The others (priorities, tags, tracing, lock awareness …) are accepted and change nothing.
import { TransactionOptionCode } from '../foundationdb.ts'
import { code, fdbError } from './errors.ts'
import { MAX_BACKOFF_MS, TRANSACTION_SIZE_LIMIT } from './limits.ts'

export type OptionValue = string | number | Buffer | null

export const option = {
  nextWriteNoWriteConflictRange: 30,
  readYourWritesDisable: 51,
  accessSystemKeys: 301,
  readSystemKeys: 302,
  timeout: 500,
  retryLimit: 501,
  maxRetryDelay: 502,
  sizeLimit: 503,
  snapshotRywEnable: 600,
  snapshotRywDisable: 601,
  usedDuringCommitProtectionDisable: 701,
  bypassUnreadable: 1100,
} as const

/** These outlive `onError`; nothing outlives `reset`. */
export const isPersistent = (optionCode: number): boolean =>
  optionCode === option.timeout ||
  optionCode === option.retryLimit ||
  optionCode === option.maxRetryDelay ||
  optionCode === TransactionOptionCode.AuthorizationToken

const known = new Set<number>(
  Object.values(TransactionOptionCode).filter((value): value is number => typeof value === 'number'),
)

const MAX_INT = 2 ** 31 - 1
const integers: Record<number, { least: number; most: number }> = {
  [option.timeout]: { least: 0, most: MAX_INT },
  [option.retryLimit]: { least: -1, most: MAX_INT },
  [option.maxRetryDelay]: { least: 0, most: MAX_INT },
  [option.sizeLimit]: { least: 32, most: TRANSACTION_SIZE_LIMIT },
}
const flags = new Set<number>(Object.values(option).filter((value) => !(value in integers)))

/** The options in force on a transaction. Times in milliseconds. */
export class Options {
  nextWriteWithoutConflict = false
  readYourWritesDisabled = false
  readSystemKeys = false
  writeSystemKeys = false
  timeoutMs = 0
  retryLimit = -1
  maxRetryDelayMs = MAX_BACKOFF_MS
  sizeLimit = TRANSACTION_SIZE_LIMIT
  /** Snapshot reads see own writes while this is above zero. */
  snapshotSeesWrites: number
  protectDuringCommit = true
  bypassUnreadable = false

  constructor(snapshotSeesWrites: number) {
    this.snapshotSeesWrites = snapshotSeesWrites
  }

  /** Throws 2006 if the value does not suit the option. `readYourWritesDisable` has a rule of its own at the caller's. */
  set(optionCode: number, value: OptionValue): void {
    if (flags.has(optionCode) && value !== null && !(Buffer.isBuffer(value) && value.length === 0))
      throw fdbError(code.invalidOptionValue)
    switch (optionCode) {
      case option.nextWriteNoWriteConflictRange:
        this.nextWriteWithoutConflict = true
        break
      case option.readYourWritesDisable:
        this.readYourWritesDisabled = true
        break
      case option.accessSystemKeys:
        this.readSystemKeys = true
        this.writeSystemKeys = true
        break
      case option.readSystemKeys:
        this.readSystemKeys = true
        break
      case option.timeout:
        this.timeoutMs = integer(optionCode, value)
        break
      case option.retryLimit:
        this.retryLimit = integer(optionCode, value)
        break
      case option.maxRetryDelay:
        this.maxRetryDelayMs = integer(optionCode, value)
        break
      case option.sizeLimit:
        this.sizeLimit = integer(optionCode, value)
        break
      case option.snapshotRywEnable:
        this.snapshotSeesWrites++
        break
      case option.snapshotRywDisable:
        this.snapshotSeesWrites--
        break
      case option.usedDuringCommitProtectionDisable:
        this.protectDuringCommit = false
        break
      case option.bypassUnreadable:
        this.bypassUnreadable = true
        break
    }
  }

  /** Whether the next write adds a write conflict range; asking uses the option up. */
  takeWriteConflict(): boolean {
    const conflict = !this.nextWriteWithoutConflict
    this.nextWriteWithoutConflict = false
    return conflict
  }
}

/** Throws at once what the C client throws at once. */
export function checkOption(optionCode: number, value: unknown): asserts value is OptionValue {
  if (!known.has(optionCode)) throw fdbError(code.invalidOption)
  if (value === null || value === undefined || typeof value === 'number' || Buffer.isBuffer(value)) return
  throw new TypeError('Second argument must be a number or buffer')
}

function integer(optionCode: number, value: OptionValue): number {
  const { least, most } = integers[optionCode] as { least: number; most: number }
  const number =
    typeof value === 'number'
      ? value
      : Buffer.isBuffer(value) && value.length === 8
        ? Number(value.readBigInt64LE())
        : Number.NaN
  if (!(number >= least && number <= most)) throw fdbError(code.invalidOptionValue)
  return number
}
