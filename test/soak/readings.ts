// What a process holds, read again and again, and whether it stays the same: memory that grows for as long as the load lasts, or
// a handle that is never given back, shows as a slope. Pure, but for the reading itself.
import { median } from '../bench/closed_loop.ts'
import { handlesOf, residentBytesOf } from '../bench/traffic/processes.ts'

/** What is read of a process, by name: `memory` in MiB, everything else a count. */
export type Reading = Readonly<Record<string, number>>

const MIB = 1024 * 1024

/** As the kernel sees it: memory of its own, open files, sockets, threads. */
export const readProcess = (pid: number): Reading => ({
  memory: residentBytesOf(pid) / MIB,
  ...handlesOf(pid),
})

/** As Node sees it, of a region's /metrics: the heap, and what keeps the event loop alive by kind, such as timers. */
export function readMetrics(text: string): Reading {
  const reading: Record<string, number> = {}
  for (const [, type, count] of text.matchAll(/^nodejs_active_resources\{type="(\w+)".*\} (\d+)$/gm)) {
    if (type !== undefined) reading[`active ${type}`] = Number(count)
  }
  const heap = /^nodejs_heap_size_used_bytes(?:\{.*\})? ([\d.e+]+)$/m.exec(text)?.[1]
  if (heap !== undefined) reading.heap = Number(heap) / MIB
  return reading
}

export interface Growth {
  what: string
  from: number
  to: number
  /** More than is put down to chance. */
  leaks: boolean
}

/** So much more at the end than at the beginning is no leak: memory in MiB, and counts. */
const SLACK = { memory: { part: 0.1, more: 24 }, count: { part: 0.1, more: 8 } }
const IN_MIB: ReadonlySet<string> = new Set(['memory', 'heap'])

/**
 * How much each figure grew over all these readings, one after the other at the same distance, by the slope that half of all pairs
 * are above (Theil and Sen: Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", JASA 63, 1968). A garbage
 * collection now and then, or a peak, does not move it.
 */
export function growths(readings: ReadonlyArray<Reading>): Growth[] {
  const names = new Set(readings.flatMap((reading) => Object.keys(reading)))
  return [...names].map((what) => {
    const values = readings.map((reading) => reading[what] ?? 0)
    const slope = slopeOf(values)
    const middle = median(values)
    const half = (slope * (values.length - 1)) / 2
    const [from, to] = [middle - half, middle + half]
    const { part, more } = IN_MIB.has(what) ? SLACK.memory : SLACK.count
    return { what, from, to, leaks: to - from > Math.max(more, from * part) }
  })
}

/** A reading. */
function slopeOf(values: ReadonlyArray<number>): number {
  const slopes: number[] = []
  for (const [j, later] of values.entries()) {
    for (const [i, earlier] of values.slice(0, j).entries()) slopes.push((later - earlier) / (j - i))
  }
  return slopes.length === 0 ? 0 : median(slopes)
}
