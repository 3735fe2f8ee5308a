// Opens the embedded engine in a directory: lock, format, reader, writer, in this order; closes in reverse.
import { accessSync, constants } from 'node:fs'
import { StorageError, type WriteFailure } from '../storage_error.ts'
import { BaseReader } from './base_reader.ts'
import {
  causeOf,
  createDirectory,
  FORMAT,
  FormatMismatch,
  filesIn,
  isLogAlone,
  openReader,
  prepare,
} from './data_file.ts'
import { EmbeddedDatabase } from './database.ts'
import { lockDirectory } from './directory_lock.ts'
import { THRESHOLDS, type Thresholds } from './limits.ts'
import { checkSqlite } from './sqlite_version.ts'
import { Storage } from './storage.ts'
import type { Clock } from './version_clock.ts'

export interface EmbeddedEngine {
  /** A new handle on the same database. */
  database(): EmbeddedDatabase
  /** As of {@link Engine}. */
  overwriteCleared(): void
  close(): Promise<void>
}

export interface EmbeddedOptions {
  dataDir: string
  /** Stops the file from growing beyond this many pages of 4 KiB: a full disk, for tests. */
  maxPages?: number
  /** Monotonic time in milliseconds; tests move it by hand. */
  clock?: Clock
  /** When memory is emptied and commits are refused; tests make them small. */
  thresholds?: Partial<Thresholds>
  random?: () => number
  /** Told of every group of commits that could not be written, and of every read that found damage. */
  onWriteFailure?: (failure: WriteFailure) => void
}

export async function openEmbedded({
  dataDir,
  maxPages,
  clock = () => performance.now(),
  thresholds,
  random = Math.random,
  onWriteFailure = () => {},
}: EmbeddedOptions): Promise<EmbeddedEngine> {
  checkSqlite(process.versions.sqlite)
  checkDirectory(dataDir)
  const lock = lockDirectory(dataDir)
  if (!lock)
    throw new StorageError(
      `The data directory ${dataDir} is in use by another process. Stop that process, or set DATA_DIR to another directory.`,
    )
  try {
    checkFormat(dataDir)
    const limits = { ...THRESHOLDS, ...thresholds }
    const storage = new Storage(
      new BaseReader(openReader(dataDir), onWriteFailure),
      clock,
      limits,
      onWriteFailure,
    )
    try {
      await storage.startWriter({ directory: dataDir, ...(maxPages !== undefined && { maxPages }) })
    } catch (error) {
      await storage.close()
      throw error
    }
    return {
      database: () => new EmbeddedDatabase(storage, clock, random),
      overwriteCleared: () => storage.overwriteCleared(),
      close: async () => {
        try {
          await storage.close()
        } finally {
          lock.release()
        }
      },
    }
  } catch (error) {
    lock.release()
    throw causeOf(error) === undefined ? error : unreadable(dataDir, error as Error)
  }
}

const unreadable = (dataDir: string, { message }: Error): StorageError =>
  new StorageError(
    `The data in ${dataDir} can't be opened (${message}). Check the disk, restore a backup (docs/storage.md), or set DATA_DIR to another directory.`,
  )

/** A file that may only be read SQLite would open all the same: its lock would shut nobody out, and each commit fail. */
function checkDirectory(dataDir: string): void {
  try {
    createDirectory(dataDir)
    for (const path of [dataDir, ...filesIn(dataDir)]) accessSync(path, constants.R_OK | constants.W_OK)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StorageError(
      `The data directory ${dataDir} can't be written (${reason}). Make it writable, or set DATA_DIR to another directory.`,
    )
  }
}

function checkFormat(dataDir: string): void {
  if (isLogAlone(dataDir))
    throw new StorageError(
      `The data in ${dataDir} is not whole: data.sqlite is missing or empty, and its log data.sqlite-wal is there. Put back the data.sqlite that belongs to it, restore a backup (docs/storage.md), or set DATA_DIR to another directory.`,
    )
  try {
    prepare(dataDir)
  } catch (error) {
    if (!(error instanceof FormatMismatch)) throw error
    throw new StorageError(
      error.found === undefined
        ? `The data directory ${dataDir} holds a data.sqlite that is not Coditect's. Set DATA_DIR to another directory.`
        : `The data in ${dataDir} has format ${error.found}; this version of Coditect reads format ${FORMAT}. Run the version that wrote it, or set DATA_DIR to another directory.`,
    )
  }
}
