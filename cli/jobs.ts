// Long work, followed to its end: a bar for whoever watches.
import { setTimeout as pause } from 'node:timers/promises'
import type { Coditect } from '../shared/client/index.ts'
import type { Output } from './output.ts'

const LOOK_EVERY_MS = 300
const BAR = 24

/** @throws {Error} when the job fails or is cancelled */
export async function followJob(client: Coditect, id: string, output: Output): Promise<unknown> {
  for (;;) {
    const job = await client.call('GET /v1/jobs/{id}', { params: { id } })
    output.progress(barOf(job))
    if (job.state === 'done' || job.state === 'failed' || job.state === 'cancelled') {
      output.progress(undefined)
      if (job.state !== 'done') throw new Error(`the job ${id} has ${job.state}`)
      return job
    }
    await pause(LOOK_EVERY_MS)
  }
}

export function barOf({ done, total }: { done: number; total: number | null }): string {
  if (total === null || total === 0) return `${done.toLocaleString('en')} done`
  const part = Math.min(1, done / total)
  const full = Math.round(part * BAR)
  const bar = '█'.repeat(full) + '░'.repeat(BAR - full)
  return `${bar} ${Math.floor(part * 100)} %  ${done.toLocaleString('en')} of ${total.toLocaleString('en')}`
}
