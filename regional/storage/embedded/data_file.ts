// The SQLite file: its schema, its format version, and the settings on which durability rests. Opened by the
// writer and by the reader; only this file knows a pragma or a table name.
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Raised whenever an older engine could not read, or would misread, what is written. */
export const FORMAT = 1
/** "Codi": says whose file it is. */
const APPLICATION_ID = 0x436f6469

const CACHE_KIB = 32 * 1024

export const dataPath = (directory: string): string => join(directory, 'data.sqlite')
export const logPath = (directory: string): string => `${dataPath(directory)}-wal`
export const lockPath = (directory: string): string => join(directory, 'lock.sqlite')

/** Whatever SQLite has in a directory by now: both files, and what lies beside them while they are open or after a kill. */
export const filesIn = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory)
    .filter((name) => /^(?:data|lock)\.sqlite(?:-|$)/.test(name))
    .map((name) => join(directory, name))

/**
 * Whether there is a log whose file is missing or empty: SQLite would take that for a new file, and throw the log away. A first
 * start that was cut short leaves no such thing: the file has its first page before there is a log.
 */
export function isLogAlone(directory: string): boolean {
  const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0
  return sizeOf(dataPath(directory)) === 0 && sizeOf(logPath(directory)) > 0
}

/** What SQLite says where it can't go on; extended codes begin with these. */
const SQLITE = { ioError: 10, corrupt: 11, full: 13, notADatabase: 26 } as const

/** Whose fault an error of SQLite is: the disk's, the file's, or that of what was to be written. Undefined for any other error. */
export function causeOf(error: unknown): 'full' | 'disk' | 'damage' | 'other' | undefined {
  if (!(error instanceof Error && 'errcode' in error)) return undefined
  const primary = Number(error.errcode) & 0xff
  if (primary === SQLITE.full) return 'full'
  if (primary === SQLITE.ioError) return 'disk'
  return primary === SQLITE.corrupt || primary === SQLITE.notADatabase ? 'damage' : 'other'
}

/** The file is not what this engine can open; `found` is its format. */
export class FormatMismatch extends Error {
  readonly found: number | undefined

  constructor(found: number | undefined) {
    super(`data format ${found ?? 'unknown'}`)
    this.found = found
  }
}

/**
 * Makes a file for its owner alone, since SQLite would let others read it; what it puts beside a file has that file's mode.
 * One that is there is not even opened: closing it again would take away every lock that this process holds on it (POSIX).
 * @returns whether it was missing
 */
export function makeOwn(file: string): boolean {
  if (existsSync(file)) return false
  closeSync(openSync(file, 'a', 0o600))
  return true
}

/** Creates the file if it is missing, and checks the format. */
export function prepare(directory: string): void {
  const isNew = makeOwn(dataPath(directory))
  const db = new DatabaseSync(dataPath(directory))
  try {
    const { application_id: owner } = db.prepare('PRAGMA application_id').get() as { application_id: number }
    const { tables } = db.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }
    if (owner === 0 && tables === 0) {
      // The page size holds several rows of a usual size; it can't be changed later.
      db.exec('PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      db.exec(`BEGIN IMMEDIATE;
        PRAGMA application_id = ${APPLICATION_ID};
        CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE meta (format INTEGER NOT NULL, version INTEGER NOT NULL);
        INSERT INTO meta VALUES (${FORMAT}, 0);
        COMMIT`)
    } else {
      if (owner !== APPLICATION_ID) throw new FormatMismatch(undefined)
      const { format } = db.prepare('SELECT format FROM meta').get() as { format: number }
      if (format !== FORMAT) throw new FormatMismatch(format)
    }
  } finally {
    db.close()
  }
  if (isNew) syncDirectory(directory)
}

/** A new file's name is durable only when its directory is. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return
  const handle = openSync(directory, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Makes the directory if it is missing, durably: a name lives in the directory above it. */
export function createDirectory(directory: string): void {
  // Whole and without `//`, so that what Node says it made first is one of the names that lead to it.
  const whole = resolve(directory)
  const first = mkdirSync(whole, { recursive: true })
  if (first === undefined) return
  const top = dirname(resolve(first))
  for (let made = whole; made !== top; made = dirname(made)) syncDirectory(dirname(made))
}

export interface WriterLimits {
  /** Stops the file from growing beyond this many pages. */
  maxPages?: number
  /** What a log that became longer, since somebody read in it, is cut to when it begins anew. */
  logBytes?: number
}

/**
 * The connection that commits; what is cleared is overwritten. SQLite syncs the log before it is copied, and the file after, but
 * no commit (`NORMAL`): that is for whoever commits to do, by `openLog`.
 */
export function openWriter(directory: string, { maxPages, logBytes }: WriterLimits = {}): DatabaseSync {
  const db = new DatabaseSync(dataPath(directory))
  db.exec(`PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA secure_delete = ON;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA cache_size = -${CACHE_KIB}`)
  if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`)
  if (logBytes !== undefined) db.exec(`PRAGMA journal_size_limit = ${logBytes}`)
  return db
}

/**
 * The log, to be synced with `fdatasync`. The SQLite that comes with Node calls `fsync`, which writes the time of the last change
 * as well: with it whatever the file system's journal has of others' files, which every commit would wait for. The file stays the
 * same one until the last connection is closed, and SQLite holds no lock on it that a close could take away. What a process that was
 * killed has written to it is synced before anybody here reads it.
 */
export function openLog(directory: string): number {
  const log = openSync(logPath(directory), 'r+')
  fdatasyncSync(log)
  syncDirectory(directory)
  return log
}

/** The connection that copies the log into the file, beside the one that commits. */
export function openCopier(directory: string): DatabaseSync {
  const db = new DatabaseSync(dataPath(directory))
  db.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
  return db
}

export function openReader(directory: string): DatabaseSync {
  const db = new DatabaseSync(dataPath(directory))
  db.exec(`PRAGMA query_only = ON; PRAGMA cache_size = -${CACHE_KIB}`)
  return db
}

/** Stands in the file as long as a pass over it is due, so that the next start goes on with one that was cut short. */
export class PassMark {
  private readonly db: DatabaseSync

  constructor(db: DatabaseSync) {
    this.db = db
  }

  isSet(): boolean {
    return (this.db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version !== 0
  }

  set(due: boolean): void {
    if (this.isSet() !== due) this.db.exec(`PRAGMA user_version = ${due ? 1 : 0}`)
  }
}

/** A version that no commit in the file is above. */
export function storedVersionBound(db: DatabaseSync): number {
  return (db.prepare('SELECT version FROM meta').get() as { version: number }).version
}
