import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { testWith } from '../support/program.ts'
import { temporaryDirectory } from './temporary.ts'

interface Acknowledgement {
  client: string
  number: number
  /** Bytes of the log that were written before a sync that had returned. */
  syncedBytes: number
}

/**
 * Reads `strace -f -y` output. A write counts from its start, a sync covers the writes that ended before it
 * began and counts from its return.
 */
function acknowledgements(trace: string): Acknowledgement[] {
  const found: Acknowledgement[] = []
  const syncing = new Map<string, number>()
  let written = 0
  let synced = 0
  for (const line of trace.split('\n')) {
    const [, pid = '', call = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const write = /^pwrite64\(\d+<[^>]*-wal>.*, (\d+), (\d+)(?:\)| <unfinished)/.exec(call)
    // A write at 0 is a new log.
    if (write?.[2] === '0') written = synced = 0
    if (write) written = Math.max(written, Number(write[1]) + Number(write[2]))
    if (/^fdatasync\(\d+<[^>]*-wal>|^fsync\(\d+<[^>]*-wal>/.test(call)) syncing.set(pid, written)
    if (/^(fdatasync|fsync)\(.*-wal>\) *= 0|^<\.\.\. (fdatasync|fsync) resumed>\) *= 0/.test(call)) {
      synced = Math.max(synced, syncing.get(pid) ?? 0)
      syncing.delete(pid)
    }
    const said = /^write\(1<.*"acknowledged (\w) (\d+)\\n"/.exec(call)
    if (said) found.push({ client: said[1] ?? '', number: Number(said[2]), syncedBytes: synced })
  }
  return found
}

/** Runs a script of this folder until it ends, and writes down its system calls that write or sync. */
function traced(trace: string, script: string, directory: string): void {
  const child = join(import.meta.dirname, script)
  const calls = 'trace=pwrite64,write,fsync,fdatasync'
  const strace = ['-f', '-y', '-s', '64', '-e', calls, '-o', trace]
  spawnSync('strace', [...strace, process.execPath, child, directory])
}

// A kill leaves the page cache, so it proves no sync. Watching system calls does.
testWith(
  'strace',
  'the log cut back to its last synced byte still holds every commit acknowledged by then',
  async () => {
    const dataDir = await temporaryDirectory()
    const trace = join(dataDir, 'trace.txt')
    const engineDir = join(dataDir, 'engine')
    traced(trace, 'sync_child.ts', engineDir)
    const calls = await readFile(trace, 'utf8')
    const acknowledged = acknowledgements(calls)
    expect(acknowledged).toHaveLength(60)
    // Each group of commits by `fdatasync`; `fsync` is SQLite's own, for the log's head and before a copy.
    const syncs = (name: string) =>
      calls.split('\n').filter((line) => line.includes(` ${name}(`) && line.includes('-wal>'))
    expect(syncs('fdatasync').length).toBeGreaterThanOrEqual(20)
    expect(syncs('fsync').length).toBeLessThan(5)

    const newest = new Map<string, number>()
    for (const [i, { client, number, syncedBytes }] of acknowledged.entries()) {
      newest.set(client, number)
      const cut = join(dataDir, `cut-${i}`)
      await mkdir(cut)
      await copyFile(join(engineDir, 'data.sqlite'), join(cut, 'data.sqlite'))
      await copyFile(join(engineDir, 'data.sqlite-wal'), join(cut, 'data.sqlite-wal'))
      await truncate(join(cut, 'data.sqlite-wal'), syncedBytes)
      const engine = await openEmbedded({ dataDir: cut })
      const tn = engine.database().createTransaction()
      for (const [name, least] of newest) {
        expect(Number(await tn.get(name, true))).toBeGreaterThanOrEqual(least)
        expect(await tn.get(`${name}/${least}`, true)).toEqual(Buffer.alloc(least * 300, least))
      }
      await engine.close()
    }
    // The cut does take away what was not acknowledged yet: without it this test would show nothing.
    expect(acknowledged[0]?.syncedBytes).toBeLessThan(acknowledged.at(-1)?.syncedBytes ?? 0)
  },
)

testWith(
  'strace',
  'who copies the log into the file syncs the file, so that no commit waits for that',
  async () => {
    const dataDir = await temporaryDirectory()
    const trace = join(dataDir, 'trace.txt')
    traced(trace, 'copier_child.ts', join(dataDir, 'engine'))
    const calls = (await readFile(trace, 'utf8')).split('\n').filter((line) => line.includes('data.sqlite>'))
    const copier = /^(\d+)/.exec(calls.findLast((line) => line.includes('pwrite64')) ?? '')?.[1]
    const its = calls.filter((line) => line.startsWith(`${copier} `))
    expect(its.some((line) => line.includes('pwrite64'))).toBe(true)
    expect(its.at(-1)).toMatch(/fdatasync.* = 0$/)
  },
)
