// The API's description. The control region is asked for it once in a while and no more, however many strangers look at it,
// and it is there while no region answers.
import { type Published, publish } from '../../../shared/published.ts'
import type { EdgeConfig } from '../../env.ts'
import { unavailable } from '../../forward/ask_instances.ts'
import { ASKED_WITHIN_MS, askRegion } from '../../locate/ask_region.ts'
import { Refreshed } from '../../refreshed.ts'

const PATH = '/openapi.json'
const FRESH_MS = 60_000
const STALE_MS = 10 * 60_000
const KEEP_MS = 24 * 60 * 60_000

/** @throws {Problem} `region_unavailable` */
export type Describe = () => Promise<Published>

export interface DescriptionDependencies {
  config: Pick<EdgeConfig, 'controlRegion'>
  waitUntil(work: Promise<unknown>): void
  now(): number
}

/** For one isolate. */
export function description({
  config: { controlRegion },
  waitUntil,
  now,
}: DescriptionDependencies): Describe {
  const kept = new Refreshed<typeof PATH, Published>({
    load: async () => ({
      value: await publish(JSON.stringify(await askRegion(controlRegion, PATH))),
      atMs: now(),
    }),
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    keepMs: KEEP_MS,
    againMs: FRESH_MS,
    loadMs: ASKED_WITHIN_MS + 500,
    capacity: 1,
    waitUntil,
    now,
  })
  return async function describe() {
    const had = await kept.get(PATH)
    if (had.outcome !== 'had') throw unavailable(controlRegion.name, 'Nothing was done.')
    return had.value
  }
}
