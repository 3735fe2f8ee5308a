// One process owns a data directory. The lock is an exclusive SQLite transaction on a file of its own, held
// open: the operating system takes it away with the process, however that ends, so it can't be left behind.
import { DatabaseSync } from 'node:sqlite'
import { lockPath, makeOwn } from './data_file.ts'

const SQLITE_BUSY = 5

export interface DirectoryLock {
  release(): void
}

/** The lock, or undefined if another process (or another engine of this one) holds it. */
export function lockDirectory(directory: string): DirectoryLock | undefined {
  makeOwn(lockPath(directory))
  const db = new DatabaseSync(lockPath(directory), { timeout: 0 })
  try {
    db.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY)
      return undefined
    throw error
  }
  return { release: () => db.close() }
}
