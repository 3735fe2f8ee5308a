// FoundationDB's limits, all of them (its client and server knobs of the same names), and our own caps.

export const KEY_SIZE_LIMIT = 10_000
export const SYSTEM_KEY_SIZE_LIMIT = 30_000
export const VALUE_SIZE_LIMIT = 100_000
export const TRANSACTION_SIZE_LIMIT = 10_000_000

/** Versions advance by a million a second; a read version lives five seconds. */
export const VERSIONS_PER_SECOND = 1_000_000
export const READ_LIFE_VERSIONS = 5 * VERSIONS_PER_SECOND

/** The most bytes one answer to a range read carries. */
export const REPLY_BYTE_LIMIT = 80_000

export const DEFAULT_BACKOFF_MS = 10
export const BACKOFF_GROWTH = 2
export const MAX_BACKOFF_MS = 1_000
export const FUTURE_VERSION_DELAY_MS = 10
export const DEFAULT_MAX_WATCHES = 10_000
export const MAX_WATCHES_LIMIT = 1_000_000

/** One group commit carries at most this, so that the writer's SQLite transaction stays small. */
export const GROUP_BYTES = 4 * 1024 * 1024
/** When changes leave memory, the log the file beside it, commits the queue, and an estimate its count. */
export interface Thresholds {
  /** Changes held in memory are folded into the reader's snapshot beyond this, as soon as no live transaction needs the older one. */
  foldEntries: number
  foldBytes: number
  /** Beyond this they are folded even if an old transaction has to fail with "too old" for it. */
  forcedFoldBytes: number
  /** The log is copied into the file when it has this many pages of 4 KiB: rarely, since pages written often are copied once. */
  checkpointPages: number
  /** Beyond this, changes are folded for the log's sake even if old transactions have to fail with "too old" for it. */
  forcedLogPages: number
  /** So many pages at a time, with so long a pause, are gone through after an erasure: some 30 MB/s, beside the commits. */
  passPages: number
  passPauseMs: number
  /** Commits waiting for the writer beyond this are refused with a retryable error, as a full commit proxy does. */
  queuedBytes: number
  /** So long the bytes of a range are counted, in milliseconds: who asks has a transaction of five seconds. */
  estimateMs: number
}

export const THRESHOLDS: Thresholds = {
  foldEntries: 4096,
  foldBytes: 1024 * 1024,
  forcedFoldBytes: 128 * 1024 * 1024,
  checkpointPages: 16_384,
  forcedLogPages: 32_768,
  passPages: 2_048,
  passPauseMs: 250,
  queuedBytes: 64 * 1024 * 1024,
  estimateMs: 1_000,
}

/** More live read versions than this and the oldest ones fail with "too old". */
export const LIVE_SNAPSHOTS = 100_000
