// The thread that copies the log into the file while the writer goes on: SQLite lets another connection do so, as far as the
// oldest reader's snapshot. What it leaves, or can't copy, the writer's own checkpoint does; what it copied and can't sync nobody can.
import { fdatasyncSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { openCopier } from './data_file.ts'
import type { CopierOptions, CopierReply } from './log_copier.ts'

const port = parentPort
if (port === null) throw new Error('log_copier_thread.ts runs as a worker thread')
const { directory, file } = workerData as CopierOptions
const db = openCopier(directory)

port.on('message', (request: 'copy' | 'close') => {
  if (request === 'close') {
    db.close()
    port.close()
    return
  }
  port.postMessage(copy())
})

function copy(): CopierReply {
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
  } catch {
    return undefined
  }
  try {
    // SQLite syncs the file only behind a whole copy: all of this would wait for the writer's, and commits for that.
    fdatasyncSync(file)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
