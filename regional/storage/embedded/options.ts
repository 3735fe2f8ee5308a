// Transaction options: which codes exist, what a value must look like, and what those with a meaning in one
// process do. The others (priorities, tags, tracing, lock awareness …) are accepted and change nothing.
import { TransactionOptionCode, transactionOptionData } from '../foundationdb.ts'
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

const kinds = new Map(Object.values(transactionOptionData).map(({ code: known, type }) => [known, type]))

const MAX_INT = 2 ** 31 - 1
const integers: Record<number, { least: number; most: number }> = {
  [option.timeout]: { least: 0, most: MAX_INT },
  [option.retryLimit]: { least: -1, most: MAX_INT },
  [option.maxRetryDelay]: { least: 0, most: MAX_INT },
  [option.sizeLimit]: { least: 32, most: TRANSACTION_SIZE_LIMIT },
}
/** Accepted without a look at the value. */
const unchecked = new Set<number>([21, 110, 120, 130, 303, 401, 505])
const MAX_IDENTIFIER_BYTES = 100
const SPAN_BYTES = 16

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
    checkValue(optionCode, value)
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
  if (!kinds.has(optionCode)) throw fdbError(code.invalidOption)
  if (value === null || value === undefined || typeof value === 'number' || Buffer.isBuffer(value)) return
  throw new TypeError('Second argument must be a number or buffer')
}

function checkValue(optionCode: number, value: OptionValue): void {
  const kind = kinds.get(optionCode)
  if (unchecked.has(optionCode)) return
  const isEmpty = value === null || (Buffer.isBuffer(value) && value.length === 0)
  const wrong =
    kind === 'none'
      ? !isEmpty
      : kind === 'int'
        ? value === null
        : value === null ||
          (optionCode === TransactionOptionCode.DebugTransactionIdentifier &&
            (isEmpty || (Buffer.isBuffer(value) && value.length > MAX_IDENTIFIER_BYTES))) ||
          (optionCode === TransactionOptionCode.SpanParent &&
            !(Buffer.isBuffer(value) && value.length === SPAN_BYTES))
  if (wrong) throw fdbError(code.invalidOptionValue)
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
