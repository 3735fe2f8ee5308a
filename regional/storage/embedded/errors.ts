// The one way to make an error: every error that a transaction shows is the package's own FDBError, for which
// its retry loop tests.
import { FDBError } from '../foundationdb.ts'

export { code, errorPredicate, isRetriedByOnError } from './error_codes.ts'

const message: Record<number, string> = {
  1007: 'Transaction is too old to perform reads or be committed',
  1009: 'Request for future version',
  1020: 'Transaction not committed due to conflict with another transaction',
  1021: 'Transaction may or may not have committed',
  1025: 'Operation aborted because the transaction was cancelled',
  1031: 'Operation aborted because the transaction timed out',
  1032: 'Too many watches currently set',
  1034: 'Watches cannot be set if read your writes is disabled',
  1036: 'Read or wrote an unreadable key',
  1037: 'Storage process does not have recent mutations',
  1038: 'Database is locked',
  1039: 'The protocol version of the cluster has changed',
  1042: 'Commit proxy commit memory limit exceeded',
  1051: 'Batch GRV request rate limit exceeded',
  1101: 'Asynchronous operation cancelled',
  1213: 'Transaction tag is being throttled',
  1510: 'Disk i/o operation failed',
  2000: 'Invalid API call',
  2004: 'Key outside legal range',
  2005: 'Range begin key larger than end key',
  2006: 'Option set with an invalid value',
  2007: 'Option not valid in this context',
  2010: 'Transaction already has a read version set',
  2011: 'Version not valid',
  2012: 'Range limits not valid',
  2017: 'Operation issued while a commit was outstanding',
  2018: 'Unrecognized atomic mutation type',
  2020: 'Transaction does not have a valid commit version',
  2021: 'Transaction is read-only and therefore does not have a commit version',
  2101: 'Transaction exceeds byte limit',
  2102: 'Key length exceeds limit',
  2103: 'Value length exceeds limit',
  2113: 'Special key space range read does not intersect a module',
  2114: 'Special key space is not allowed to write by default',
  2210: 'Limits must be specified if the streaming mode is exact',
}

/** A new error with FoundationDB's code and text; `detail` is added where the cause lies outside FoundationDB. */
export function fdbError(errorCode: number, detail?: string): FDBError {
  const text = message[errorCode] ?? 'Unknown error'
  return new FDBError(detail === undefined ? text : `${text}: ${detail}`, errorCode)
}
