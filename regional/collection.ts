// How V8 collects garbage in a region's process. By itself it marks the heap of a busy region every few seconds, with four
// threads: on two cores they leave the one that answers half of its time, for as long as that takes.
import { readdirSync, readFileSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/** Nicer by so much: where cores are scarce, that is a tenth of the time of whoever is not. */
const NICER = 10
const NICEST = 19
/** As Node calls the threads of V8's platform, which collect and compile. */
const V8_THREAD = 'V8Worker'
const OWN_THREADS = '/proc/self/task'

/** For the whole process, once, when it starts. Only on Linux does a thread have a niceness of its own. */
export function collectInTheBackground(): void {
  if (process.platform !== 'linux') return
  try {
    for (const thread of v8Threads()) setPriority(thread, Math.min(NICEST, getPriority(thread) + NICER))
  } catch {
    // A sandbox that hides its threads, or keeps them as they are: it is slower at worst.
  }
}

const v8Threads = (): number[] =>
  readdirSync(OWN_THREADS)
    .filter((thread) => readFileSync(`${OWN_THREADS}/${thread}/comm`, 'utf8').trim() === V8_THREAD)
    .map(Number)
