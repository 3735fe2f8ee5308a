// The thread that copies the log into the file while the writer goes on: SQLite lets another connection do so, as far as the
// oldest reader's snapshot. What it does is never needed: whatever it leaves, or fails at, the writer's own checkpoint does.
import { fdatasyncSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { openCopier } from './data_file.ts'
import type { CopierOptions } from './log_copier.ts'

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
  try {
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    // SQLite syncs the file only behind a whole copy: all of this would wait for the writer's, and commits for that.
    fdatasyncSync(file)
  } finally {
    port.postMessage('copied')
  }
})
