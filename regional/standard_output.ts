// Standard output for the log's lines, written behind the requests' backs. A disk that is full and a reader that stalls cost
// lines, which are counted; they never hold up the process, neither at work nor at its end, and never grow its memory.
import { write, writeSync } from 'node:fs'

/** Lines wait for each other: a write for each took a twentieth of a region's time. In characters. */
const TOGETHER = 8 * 1024
const LONGEST_WAIT_MS = 250
/** More are lost. What goes out meanwhile is as much at most. In characters. */
const MOST_WAITING = 1024 * 1024
/** After a write that failed. A reader that is merely behind has room again sooner than a disk. */
const RETRY_MS = 25
/** As long the process's end waits for a reader. */
const AT_THE_END_MS = 500

/**
 * @param lost is called for each line that found no room
 * @returns writes a line. What is left is written when the process ends
 */
export function standardOutput(lost: () => void): (line: string) => void {
  // Asked for it, Node has made a pipe one that never blocks: a write to a full one would keep a thread, and with it the end.
  const { fd } = process.stdout
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
    write(fd, goingOut, (error, written) => {
      if (error !== null) {
        state = 'failed'
        setTimeout(() => {
          state = 'idle'
          writeOut()
        }, RETRY_MS).unref()
        return
      }
      state = 'idle'
      goingOut = goingOut.subarray(written)
      if (goingOut.length > 0 || waiting.length >= TOGETHER) writeOut()
    })
  }
  setInterval(writeOut, LONGEST_WAIT_MS).unref()
  process.once('exit', () => {
    // What is being written now is a thread's, which ends it.
    if (state === 'writing') goingOut = Buffer.alloc(0)
    writeNow(fd, take())
  })

  return (line) => {
    if (waiting.length + line.length > MOST_WAITING) return lost()
    waiting += line
    if (waiting.length >= TOGETHER) writeOut()
  }
}

/** As much of it as can be written now. */
function writeNow(fd: number, bytes: Buffer): void {
  const until = performance.now() + AT_THE_END_MS
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let left = bytes; left.length > 0; ) {
    try {
      left = left.subarray(writeSync(fd, left))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() > until) return
      Atomics.wait(pause, 0, 0, RETRY_MS)
    }
  }
}
