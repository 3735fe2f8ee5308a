// The worker thread that owns the writing connection: one SQLite transaction, and so one fsync, for a group of
// commits. It answers only after the log was synced.

import { closeSync, fdatasyncSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { causeOf, openLog, openWriter, PassMark, storedVersionBound, type WriterLimits } from './data_file.ts'
import { VERSIONS_PER_SECOND } from './limits.ts'
import { decode, type EffectSink } from './mutation_codec.ts'
import { overwriteGaps } from './page_gaps.ts'

export type WriterRequest =
  | { kind: 'commit'; version: number; bytes: Uint8Array }
  | { kind: 'checkpoint' }
  /** So many pages of the pass that overwrites what moved rows left behind, from this one on. */
  | { kind: 'overwrite'; from: number; pages: number }
  /** The end of that pass: nothing of what the log had stays in it. */
  | { kind: 'empty' }
  /** `passAt`: where that pass has got to, if one is due. */
  | { kind: 'close'; passAt: PassPlace | undefined }

/** A page of the file, or the log behind the last one. */
export type PassPlace = number | 'log'

/** `rolledBack`: nothing of the group is in the file; otherwise that is not known. */
export type WriterReply =
  /** `passDue`: a pass was begun, and did not end. */
  | { kind: 'ready'; passDue: boolean }
  | { kind: 'checkpointed' | 'closed' }
  | { kind: 'overwritten'; next: PassPlace }
  /** `done`: unless somebody still reads what is in the log. */
  | { kind: 'emptied'; done: boolean }
  | { kind: 'committed'; logPages: number }
  | { kind: 'failed'; message: string; rolledBack: boolean; cause: ReturnType<typeof causeOf> }

export interface WriterOptions extends WriterLimits {
  directory: string
  /** The data file, open until nothing of SQLite has it open. */
  file: number
}

const port = parentPort
if (port === null) throw new Error('writer_thread.ts runs as a worker thread')
const { directory, file, ...limits } = workerData as WriterOptions
const db = openWriter(directory, limits)
const upsert = db.prepare(
  'INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
)
const remove = db.prepare('DELETE FROM kv WHERE key = ?')
const removeRange = db.prepare('DELETE FROM kv WHERE key >= ? AND key < ?')
const setVersion = db.prepare('UPDATE meta SET version = ?')
/** No commit has a version above this. Written ahead, a minute at a time, so that a commit need not write its own. */
let versionBound = storedVersionBound(db)
const log = openLog(directory)
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
  cause: causeOf(error),
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
    fdatasyncSync(log)
    if (version > versionBound) versionBound = version + BOUND_VERSIONS
    return { kind: 'committed', logPages: pagesInLog() }
  } catch (error) {
    // A full disk wrote no whole commit. After a failed sync the log may hold it all the same: whoever reads
    // it from the disk next decides.
    return failure(error, undo() && causeOf(error) === 'full')
  }
}

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

/** @returns whether the file has all that the log has */
function checkpoint(mode: 'PASSIVE' | 'TRUNCATE'): boolean {
  const statement = db.prepare(`PRAGMA wal_checkpoint(${mode})`)
  statement.setReturnArrays(true)
  const [busy, pages, copied] = statement.get() as unknown as [number, number, number]
  return busy === 0 && pages === copied
}

const passMark = new PassMark(db)

/**
 * A step of the pass. Only this thread writes to the file now: the other one that copies the log waits for its answer. What
 * SQLite keeps of the pages is forgotten first, or it would write back what is overwritten here.
 */
function overwrite(from: number, pages: number): PassPlace {
  passMark.set(true)
  if (!checkpoint('PASSIVE')) return from
  db.exec('PRAGMA shrink_memory')
  return overwriteGaps(file, from, pages) ?? 'log'
}

/** @returns whether the log is empty, and with that the pass at its end */
function emptyLog(): boolean {
  if (!checkpoint('TRUNCATE')) return false
  passMark.set(false)
  return true
}

/** What is left of a pass, for as long as a close may take; the next start goes on with what is left then. */
function overwriteRest(from: PassPlace): void {
  const until = performance.now() + CLOSE_PASS_MS
  try {
    let at = from
    while (at !== 'log' && performance.now() < until) at = overwrite(at, CLOSE_PASS_PAGES)
    if (at === 'log') emptyLog()
  } catch {
    // A disk that takes nothing more keeps nobody from closing: the mark stands.
  }
}
const CLOSE_PASS_MS = 1_000
const CLOSE_PASS_PAGES = 4_096

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
    if (request.kind === 'overwrite') {
      const next = overwrite(request.from, request.pages)
      port.postMessage({ kind: 'overwritten', next } satisfies WriterReply)
      return
    }
    if (request.kind === 'empty') {
      port.postMessage({ kind: 'emptied', done: emptyLog() } satisfies WriterReply)
      return
    }
    if (request.passAt !== undefined) overwriteRest(request.passAt)
    checkpoint('TRUNCATE')
    db.close()
    closeSync(log)
    port.postMessage({ kind: 'closed' } satisfies WriterReply)
    port.close()
  } catch (error) {
    port.postMessage(failure(error, true))
  }
})
port.postMessage({ kind: 'ready', passDue: passMark.isSet() } satisfies WriterReply)
