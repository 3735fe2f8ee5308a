// The process whose system calls are watched: the log is copied as far as a reader's snapshot, not to its end.
import { openSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import {
  createDirectory,
  dataPath,
  openReader,
  openWriter,
  prepare,
} from '../../regional/storage/embedded/data_file.ts'
import { LogCopier } from '../../regional/storage/embedded/log_copier.ts'

const directory = process.argv[2]
if (!directory) throw new Error('no directory given')
createDirectory(directory)
prepare(directory)
const writer = openWriter(directory)
writer.exec("INSERT INTO kv VALUES (x'01', zeroblob(10000))")
const reader = openReader(directory)
reader.exec('BEGIN; SELECT count(*) FROM kv')
writer.exec("INSERT INTO kv VALUES (x'02', zeroblob(10000))")
const file = openSync(dataPath(directory), 'r+')
const copier = new LogCopier({ directory, file }, { roundOver: () => {} })
while (!copier.copied()) await setTimeout(5)
process.kill(process.pid, 'SIGKILL')
