// The worker thread that owns the writing connection: one SQLite transaction, and so one fsync, for a group of
// commits. It answers only after COMMIT has returned, which is after the log was synced.
import { parentPort, workerData } from 'node:worker_threads'
import { openWriter, storedVersionBound } from './data_file.ts'
import { VERSIONS_PER_SECOND } from './limits.ts'
import { decode, type EffectSink } from './mutation_codec.ts'

export type WriterRequest =
  | { kind: 'commit'; version: number; bytes: Uint8Array }
  | { kind: 'checkpoint' }
  | { kind: 'close' }

/** `rolledBack`: nothing of the group is in the file; otherwise that is not known. */
export type WriterReply =
  | { kind: 'ready' | 'checkpointed' | 'closed' }
  | { kind: 'committed'; logPages: number }
  | { kind: 'failed'; message: string; rolledBack: boolean }

interface Options {
  directory: string
  maxPages?: number
}

const port = parentPort
if (port === null) throw new Error('writer_thread.ts runs as a worker thread')
const { directory, maxPages } = workerData as Options
const db = openWriter(directory, maxPages)
const upsert = db.prepare(
  'INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
)
const remove = db.prepare('DELETE FROM kv WHERE key = ?')
const removeRange = db.prepare('DELETE FROM kv WHERE key >= ? AND key < ?')
const setVersion = db.prepare('UPDATE meta SET version = ?')
/** No commit has a version above this. Written ahead, a minute at a time, so that a commit need not write its own. */
let versionBound = storedVersionBound(db)
const BOUND_VERSIONS = 60 * VERSIONS_PER_SECOND
const begin = db.prepare('BEGIN IMMEDIATE')
const commit = db.prepare('COMMIT')
const rollback = db.prepare('ROLLBACK')
const measureLog = db.prepare('PRAGMA wal_checkpoint(NOOP)')
measureLog.setReturnArrays(true)

const table: EffectSink = {
  set: (key, value) => void upsert.run(key, value),
  clear: (key) => void remove.run(key),
  clearRange: (from, to) => void removeRange.run(from, to),
}

const failure = (error: unknown, rolledBack: boolean): WriterReply => ({
  kind: 'failed',
  message: error instanceof Error ? error.message : String(error),
  rolledBack,
})

function write(version: number, bytes: Uint8Array): WriterReply {
  try {
    begin.run()
    decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), table)
    if (version > versionBound) setVersion.run(version + BOUND_VERSIONS)
  } catch (error) {
    return failure(error, undo())
  }
  try {
    commit.run()
    if (version > versionBound) versionBound = version + BOUND_VERSIONS
    return { kind: 'committed', logPages: pagesInLog() }
  } catch (error) {
    // A full disk wrote no whole commit. After a failed sync the log may hold it all the same: whoever opens
    // it next decides.
    return failure(error, undo() && isFull(error))
  }
}

const SQLITE_FULL = 13
const isFull = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_FULL

function pagesInLog(): number {
  const [, pages] = measureLog.get() as unknown as [number, number, number]
  return pages
}

function undo(): boolean {
  try {
    if (db.isTransaction) rollback.run()
    return true
  } catch {
    return false
  }
}

function checkpoint(mode: 'PASSIVE' | 'TRUNCATE'): void {
  db.exec(`PRAGMA wal_checkpoint(${mode})`)
}

port.on('message', (request: WriterRequest) => {
  if (request.kind === 'commit') {
    port.postMessage(write(request.version, request.bytes))
    return
  }
  try {
    if (request.kind === 'checkpoint') {
      checkpoint('PASSIVE')
      port.postMessage({ kind: 'checkpointed' } satisfies WriterReply)
      return
    }
    checkpoint('TRUNCATE')
    db.close()
    port.postMessage({ kind: 'closed' } satisfies WriterReply)
    port.close()
  } catch (error) {
    port.postMessage(failure(error, true))
  }
})
port.postMessage({ kind: 'ready' } satisfies WriterReply)
