// FoundationDB's error codes that this engine answers with, and which of them may be retried. No imports: the
// stand-in for the package's binding needs them before the package exists.

export const code = {
  transactionTooOld: 1007,
  futureVersion: 1009,
  notCommitted: 1020,
  commitUnknownResult: 1021,
  transactionCancelled: 1025,
  transactionTimedOut: 1031,
  tooManyWatches: 1032,
  watchesDisabled: 1034,
  accessedUnreadable: 1036,
  processBehind: 1037,
  databaseLocked: 1038,
  clusterVersionChanged: 1039,
  proxyMemoryLimitExceeded: 1042,
  batchTransactionThrottled: 1051,
  grvProxyMemoryLimitExceeded: 1078,
  blobGranuleRequestFailed: 1079,
  operationCancelled: 1101,
  tagThrottled: 1213,
  proxyTagThrottled: 1223,
  ioError: 1510,
  clientInvalidOperation: 2000,
  keyOutsideLegalRange: 2004,
  invertedRange: 2005,
  invalidOptionValue: 2006,
  invalidOption: 2007,
  readVersionAlreadySet: 2010,
  versionInvalid: 2011,
  rangeLimitsInvalid: 2012,
  usedDuringCommit: 2017,
  invalidMutationType: 2018,
  transactionInvalidVersion: 2020,
  noCommitVersion: 2021,
  transactionTooLarge: 2101,
  keyTooLarge: 2102,
  valueTooLarge: 2103,
  specialKeysNoModule: 2113,
  specialKeysWriteDisabled: 2114,
  exactModeWithoutLimits: 2210,
} as const

const notCommitted = new Set<number>([
  code.notCommitted,
  code.transactionTooOld,
  code.futureVersion,
  code.databaseLocked,
  code.proxyMemoryLimitExceeded,
  code.grvProxyMemoryLimitExceeded,
  code.batchTransactionThrottled,
  code.processBehind,
  code.tagThrottled,
  code.proxyTagThrottled,
  code.blobGranuleRequestFailed,
])
const maybeCommitted = new Set<number>([code.commitUnknownResult, code.clusterVersionChanged])

/** `onError` retries these; a changed cluster version is for the multi-version client, which an embedded engine is not. */
export const isRetriedByOnError = (errorCode: number): boolean =>
  notCommitted.has(errorCode) || errorCode === code.commitUnknownResult

/** `fdb_error_predicate`: 50000 retryable, 50001 maybe committed, 50002 retryable and not committed. */
export function errorPredicate(test: number, errorCode: number): boolean {
  if (test === 50000) return notCommitted.has(errorCode) || maybeCommitted.has(errorCode)
  if (test === 50001) return maybeCommitted.has(errorCode)
  return test === 50002 && notCommitted.has(errorCode)
}
