// How much one answer to a range read may carry: rows, bytes, or what the streaming mode stands for
// (`validate_and_update_parameters` of the C client and GetRangeLimits).
import { code, fdbError } from './errors.ts'
import { REPLY_BYTE_LIMIT } from './limits.ts'

export const UNLIMITED = -1

const ITERATOR_BYTES = [4096, 6144, 9216, 13824, 20736, 31104, 46656, 69984, 80000, 120000]
/** exact, small, medium, large, serial */
const MODE_BYTES = [UNLIMITED, 256, 1000, 4096, 80000]
const WANT_ALL = -2
const ITERATOR = -1
const EXACT = 0

/** A row costs its bytes and this much. */
const ROW_OVERHEAD = 8

export class RangeLimits {
  rows: number
  bytes: number
  minRows = 1

  constructor(rows: number, bytes: number) {
    this.rows = rows
    this.bytes = bytes
  }

  get hasRowLimit(): boolean {
    return this.rows !== UNLIMITED
  }

  get hasByteLimit(): boolean {
    return this.bytes !== UNLIMITED
  }

  get isReached(): boolean {
    return this.rows === 0 || (this.bytes === 0 && this.minRows === 0)
  }

  get hasSatisfiedMinRows(): boolean {
    return this.hasByteLimit && this.minRows === 0
  }

  get isValid(): boolean {
    return this.rows >= UNLIMITED && this.bytes >= UNLIMITED
  }

  count(rowBytes: number): void {
    if (this.minRows > 0) this.minRows--
    if (this.hasRowLimit) this.rows--
    if (this.hasByteLimit) this.bytes = Math.max(0, this.bytes - rowBytes - ROW_OVERHEAD)
  }

  /** The limits of the `requestCount`-th read below this one, widened so that it surely makes progress. */
  forRequest(additionalRows: number, offset: number, requestCount: number): RangeLimits {
    const request = new RangeLimits(this.rows, this.bytes)
    const widened = Math.max(Math.max(1, this.rows) + additionalRows, offset)
    request.minRows = Math.max(1 + additionalRows, offset)
    if (this.hasRowLimit) request.rows = widened
    if (this.bytes === 0) {
      request.bytes = UNLIMITED
      if (!this.hasRowLimit) request.rows = widened
    } else if (this.hasByteLimit)
      request.bytes = Math.min(this.bytes * 2 ** Math.min(requestCount, 20), REPLY_BYTE_LIMIT)
    return request
  }
}

export function rangeLimits(
  limit: number,
  targetBytes: number,
  mode: number,
  iteration: number,
): RangeLimits {
  const rows = limit === 0 ? UNLIMITED : limit
  let bytes = targetBytes === 0 ? UNLIMITED : targetBytes
  if (rows === UNLIMITED && bytes === UNLIMITED && mode === EXACT) throw fdbError(code.exactModeWithoutLimits)
  const modeBytes = bytesOfMode(mode, iteration)
  if (bytes === UNLIMITED) bytes = modeBytes
  else if (modeBytes !== UNLIMITED) bytes = Math.min(bytes, modeBytes)
  return new RangeLimits(rows, bytes)
}

function bytesOfMode(mode: number, iteration: number): number {
  const known = MODE_BYTES[mode === WANT_ALL ? MODE_BYTES.length - 1 : mode]
  if (known !== undefined) return known
  if (mode !== ITERATOR || iteration <= 0) throw fdbError(code.clientInvalidOperation)
  return ITERATOR_BYTES[Math.min(iteration, ITERATOR_BYTES.length) - 1] as number
}
