// Standard output for the log's lines, written behind the requests' backs. A disk that is full and a reader that stalls cost
// lines, which are counted; they never hold up the process, neither at work nor at its end, and never grow its memory.
import { fstatSync, write, writeSync } from 'node:fs'

/** Lines wait for each other: a write for each took a twentieth of a region's time. In characters. */
const TOGETHER = 8 * 1024
const LONGEST_WAIT_MS = 250
/** More are lost. What goes out meanwhile is as much at most. In characters. */
const MOST_WAITING = 1024 * 1024
/** After a write that failed. A reader that is merely behind has room again sooner than a disk. */
const RETRY_MS = 25
/** As long the process's end waits for a reader. */
const AT_THE_END_MS = 500

export interface StandardOutput {
  write(line: string): void
  /** Writes what waits, as far as it can now, before it returns: for a process that is stopped at any time after it. */
  flush(): void
}

/** @param lost is called for each line that found no room. What is left is written when the process ends */
export function standardOutput(lost: () => void): StandardOutput {
  // Asked for it, Node has made a pipe one that never blocks: a write to a full one would keep a thread, and with it the end.
  const { fd } = process.stdout
  const stats = fstatSync(fd)
  const neverBlocks = stats.isFIFO() || stats.isSocket()
  let waiting = ''
  let goingOut: Buffer = Buffer.alloc(0)
  let state: 'idle' | 'writing' | 'failed' = 'idle'

  const take = (): Buffer => {
    const taken = Buffer.concat([goingOut, Buffer.from(waiting)])
    waiting = ''
    return taken
  }
  const writeOut = (): void => {
    if (state !== 'idle') return
    if (goingOut.length === 0) goingOut = take()
    if (goingOut.length === 0) return
    state = 'writing'
    if (neverBlocks) written(...writtenNow(fd, goingOut))
    else write(fd, goingOut, written)
  }
  const written = (error: Error | null, bytes: number): void => {
    if (error !== null) {
      state = 'failed'
      setTimeout(() => {
        state = 'idle'
        writeOut()
      }, RETRY_MS).unref()
      return
    }
    state = 'idle'
    goingOut = goingOut.subarray(bytes)
    if (goingOut.length > 0 || waiting.length >= TOGETHER) writeOut()
  }
  setInterval(writeOut, LONGEST_WAIT_MS).unref()
  process.once('exit', () => {
    // What is being written now is a thread's, which ends it.
    if (state === 'writing') goingOut = Buffer.alloc(0)
    writeNow(fd, take())
  })

  return {
    write(line) {
      if (waiting.length + line.length > MOST_WAITING) return lost()
      waiting += line
      if (waiting.length >= TOGETHER) writeOut()
    },
    flush() {
      if (state === 'writing') return
      goingOut = take()
      goingOut = goingOut.subarray(writeNow(fd, goingOut))
    },
  }
}

function writtenNow(fd: number, bytes: Buffer): [error: Error | null, bytes: number] {
  try {
    return [null, writeSync(fd, bytes)]
  } catch (error) {
    return [error as Error, 0]
  }
}

/** As much of it as can be written now. @returns how much that was */
function writeNow(fd: number, bytes: Buffer): number {
  const until = performance.now() + AT_THE_END_MS
  const pause = new Int32Array(new SharedArrayBuffer(4))
  let left = bytes
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(fd, left))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() > until) break
      Atomics.wait(pause, 0, 0, RETRY_MS)
    }
  }
  return bytes.length - left.length
}
