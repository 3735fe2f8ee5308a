// One process owns a data directory. The lock is an exclusive SQLite transaction on a file of its own, held
// open: the operating system takes it away with the process, however that ends, so it can't be left behind.
import { DatabaseSync } from 'node:sqlite'
import { StorageError } from '../storage_error.ts'
import { lockPath, makeOwn } from './data_file.ts'

const SQLITE_BUSY = 5

export interface DirectoryLock {
  release(): void
}

/**
 * The lock, or undefined if another process (or another engine of this one) holds it.
 * @throws {StorageError} where the file is no lock
 */
export function lockDirectory(directory: string): DirectoryLock | undefined {
  const file = lockPath(directory)
  makeOwn(file)
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { timeout: 0 })
    db.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    db?.close()
    if (!(error instanceof Error && 'errcode' in error)) throw error
    if ((Number(error.errcode) & 0xff) === SQLITE_BUSY) return undefined
    throw new StorageError(
      `The lock ${file} can't be opened (${error.message}). Stop whatever uses the directory and delete this file: it holds no data.`,
    )
  }
  const held = db
  return { release: () => held.close() }
}
