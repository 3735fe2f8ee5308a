// The data directory: there, writable, and ours alone while we run. The lock is one of the operating system's,
// held through SQLite, so that it ends with this process however that ends.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { messageOf, StartError } from './start_error.ts'

/** `SQLITE_BUSY`, `SQLITE_CORRUPT` and `SQLITE_NOTADB` */
const BUSY = 5
const NO_LOCK: ReadonlyArray<unknown> = [11, 26]

export class DataDir {
  readonly path: string
  private readonly lock: DatabaseSync

  /** @throws {StartError} when the directory can't be made or written, or another start holds it. */
  constructor(path: string) {
    this.path = path
    try {
      for (const folder of [path, join(path, 'logs'), join(path, 'run')]) makeFolder(folder)
      this.lock = new DatabaseSync(join(path, 'run', 'lock'), { timeout: 0 })
      this.lock.exec('BEGIN EXCLUSIVE')
    } catch (error) {
      if (error instanceof Error && 'errcode' in error && error.errcode === BUSY) {
        throw new StartError(`${path} is in use by another start; DATA_DIR chooses another directory`)
      }
      if (error instanceof Error && 'errcode' in error && NO_LOCK.includes(error.errcode)) {
        throw new StartError(
          `${join(path, 'run', 'lock')} is damaged (${error.message}): delete it, it holds no data`,
        )
      }
      throw new StartError(`DATA_DIR: ${path} can't be written: ${messageOf(error)}`)
    }
  }

  file(...names: ReadonlyArray<string>): string {
    return join(this.path, ...names)
  }

  /** Whole or not at all, and for nobody else to read. */
  write(name: string, text: string): void {
    const partial = this.file(`${name}.partial`)
    rmSync(partial, { force: true })
    writeFileSync(partial, text, { mode: 0o600, flush: true })
    renameSync(partial, this.file(name))
  }

  remove(name: string): void {
    rmSync(this.file(name), { force: true })
  }

  release(): void {
    this.lock.close()
  }
}

/** With its parents. Node's own `recursive` never returns where a parent is there and still can't have children (/proc). */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path, { mode: 0o700 })
}
