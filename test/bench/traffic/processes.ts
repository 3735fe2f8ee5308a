// What the processes of a stack take of the machine, as the kernel counts it (proc(5)). Linux only.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** The kernel's clock ticks, as it shows them to programs: 100 a second on every Linux. */
const TICK_MS = 10

/** Processor time of all threads of a process so far. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is the name, in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** Memory of its own, without the pages of files it maps. */
export function residentBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) * 1_024
}

export interface Handles {
  files: number
  sockets: number
  threads: number
}

export function handlesOf(pid: number): Handles {
  const folder = `/proc/${pid}/fd`
  let sockets = 0
  let files = 0
  for (const fd of readdirSync(folder)) {
    try {
      if (readlinkSync(`${folder}/${fd}`).startsWith('socket:')) sockets++
      else files++
    } catch {
      // Closed between the two calls.
    }
  }
  return { files, sockets, threads: readdirSync(`/proc/${pid}/task`).length }
}

/** Measures the processor time of some processes, and of this one, in cores: 1 is one core all the time. */
export function cpuMeter(pids: Readonly<Record<string, number>>): () => Record<string, number> {
  const read = () => ({
    ...Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuMsOf(pid)])),
    generator: cpuMsOf(process.pid),
  })
  const before: Record<string, number> = read()
  const startedAt = performance.now()
  return () => {
    const elapsedMs = performance.now() - startedAt
    const used = Object.entries(read()).map(([name, ms]) => [name, (ms - (before[name] ?? 0)) / elapsedMs])
    return Object.fromEntries(used.map(([name, cores]) => [name, Number(Number(cores).toFixed(2))]))
  }
}
