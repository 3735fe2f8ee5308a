// Processor time that processes have used so far, with all they have started: as Linux counts it.
import { readdirSync, readFileSync } from 'node:fs'

/** Of the kernel's clock, a second: the same on every Linux that Node runs on. */
const TICKS = 100

interface Used {
  parent: number
  /** Seconds, of itself and of children that have ended. */
  seconds: number
}

/** Seconds, user and system, of these processes and their descendants. */
export function processorSeconds(roots: ReadonlyArray<number>): number {
  const all = new Map<number, Used>()
  for (const name of readdirSync('/proc')) {
    const used = /^\d+$/.test(name) ? usedBy(name) : undefined
    if (used !== undefined) all.set(Number(name), used)
  }
  const belongs = (pid: number): boolean => {
    if (roots.includes(pid)) return true
    const parent = all.get(pid)?.parent
    return parent !== undefined && parent > 1 && belongs(parent)
  }
  let seconds = 0
  for (const [pid, used] of all) if (belongs(pid)) seconds += used.seconds
  return seconds
}

/** Seconds, of one process alone. */
export const ownSeconds = (pid: number): number => usedBy(String(pid))?.seconds ?? 0

function usedBy(pid: string): Used | undefined {
  try {
    // proc_pid_stat(5); the name, in brackets, may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    const [, parent] = fields
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return { parent: Number(parent), seconds: ticks / TICKS }
  } catch {
    return undefined
  }
}
