// Long work, followed to its end: a bar for whoever watches.
import { setTimeout as pause } from 'node:timers/promises'
import type { Coditect, Job } from '../shared/client/index.ts'
import type { Output } from './output.ts'

const LOOK_EVERY_MS = 300
const BAR = 24

/** Work that was begun could not be followed, for its cause; it goes on. */
export class Unfollowed extends Error {
  override readonly name = 'Unfollowed'

  /** @param command follows it further */
  constructor(command: string, cause: unknown) {
    super(`the work goes on: ${command}`, { cause })
  }
}

/** How work that was just begun is looked at; `command` follows it further. @throws {Unfollowed} */
export const begunWork =
  <T>(command: string, look: () => Promise<T>) =>
  async (): Promise<T> => {
    try {
      return await look()
    } catch (cause) {
      throw new Unfollowed(command, cause)
    }
  }

export const begunJob = (client: Coditect, id: string): (() => Promise<Job>) =>
  begunWork(`coditect jobs wait ${id}`, () => client.call('GET /v1/jobs/{id}', { params: { id } }))

/** @throws {Error} when the job fails or is cancelled */
export async function followJob<J extends Job>(look: () => Promise<J>, output: Output): Promise<J> {
  const job = await endOfJob(look, output)
  if (job.state === 'done') return job
  const why = job.error === null ? '' : `: ${job.error}`
  throw new Error(`the job ${job.id} ${job.state === 'failed' ? 'has failed' : 'was cancelled'}${why}`)
}

/** @returns the job at its end, whatever it came to */
export async function endOfJob<J extends Job>(look: () => Promise<J>, output: Output): Promise<J> {
  for (;;) {
    const job = await look().catch((error: unknown) => {
      output.progress(undefined)
      throw error
    })
    output.progress(barOf(job))
    if (job.state === 'done' || job.state === 'failed' || job.state === 'cancelled') {
      output.progress(undefined)
      return job
    }
    await pause(LOOK_EVERY_MS)
  }
}

export function barOf({
  done,
  total,
  secondsLeft = null,
}: {
  done: number
  total: number | null
  secondsLeft?: number | null
}): string {
  if (total === null || total === 0) return `${done.toLocaleString('en')} done`
  const part = Math.min(1, done / total)
  const full = Math.round(part * BAR)
  const bar = '█'.repeat(full) + '░'.repeat(BAR - full)
  const left = secondsLeft === null || part === 1 ? '' : `, about ${Math.ceil(secondsLeft)} s left`
  return `${bar} ${Math.floor(part * 100)} %  ${done.toLocaleString('en')} of ${total.toLocaleString('en')}${left}`
}
