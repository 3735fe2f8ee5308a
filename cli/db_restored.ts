// `coditect db restored`: what a region's database needs once, after it was restored from a backup. It is as it was then,
// while others know what came afterwards: readers hold places in its logs, edges versions of its tenants, and other regions
// tenants by numbers that its directory would give out again. So every epoch grows, and those numbers are left out. Tenants may
// have been erased since: pointers to all of them have the region see to it (regional/platform/restored.ts).
import { skipNumbers } from '../regional/platform/directory.ts'
import { raiseEpochs, raiseRegionEpoch } from '../regional/storage/epoch.ts'
import { Space } from '../regional/storage/space.ts'
import { restoredPointer } from '../regional/tenancy/pointers.ts'
import { opened, requireWhole, type Side } from './db_side.ts'

/** Each takes two reads, one after the other: together far less than the time of a transaction. */
const BATCH_TENANTS = 100

/**
 * Nothing else may write there meanwhile. Broken off, or after a result that is unknown, it may be done again: an epoch may
 * grow by more than it has to.
 * @param nowMs epochs become the time in seconds: two restorations of one backup must not come to the same one
 * @param report told how many tenants are done
 * @returns how many there were
 * @throws {StorageError} when there is nothing, or an unfinished copy
 */
export async function markRestored(
  side: Side,
  nowMs: number,
  report: (tenants: number) => void,
): Promise<number> {
  const database = opened(side)
  const { run, keys } = database
  await requireWhole(database, side.name, side.prefix)
  const least = Math.floor(nowMs / 1000)
  await run(async (tn) => {
    await raiseRegionEpoch(tn, keys, least)
    await skipNumbers({ space: (definition) => new Space(tn, keys.platform, definition) })
  })
  let tenants = 0
  let behind: Buffer | undefined
  do {
    const from = { behind, least, limit: BATCH_TENANTS }
    const { raised, through } = await run((tn) => {
      const pointers = new Space(tn, keys.region, restoredPointer)
      return raiseEpochs(tn, keys, from, (number) => pointers.set([number], 1))
    })
    tenants += raised
    behind = through
    report(tenants)
  } while (behind !== undefined)
  return tenants
}
