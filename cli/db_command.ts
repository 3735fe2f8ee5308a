// `coditect db …`: a region's database as a whole.
import { existsSync } from 'node:fs'
import { dataPath } from '../regional/storage/embedded/data_file.ts'
import { type Engine, openEngine, StorageError } from '../regional/storage/open.ts'
import { copyDatabase, type Progress } from './db_copy.ts'
import { markRestored } from './db_restored.ts'
import type { Side } from './db_side.ts'

export const COPY_HELP = `
  --from, --to     where the data is and where it goes: a data directory of the embedded engine, or
                   fdb:<path of a cluster file> for a FoundationDB cluster
  --from-prefix, --to-prefix
                   what stands before every key of the region there (ROOT_PREFIX); none by default

Stop the region first: nothing may write to either side meanwhile. Broken off, the same command goes on where
it was. Afterwards the region's epoch and every tenant's are one higher, so that logs keep their order.
`

export const RESTORED_HELP = `
  --in             where the data is: a data directory of the embedded engine, or fdb:<path of a cluster file>
                   for a FoundationDB cluster
  --prefix         what stands before every key of the region there (ROOT_PREFIX); none by default

Run it once after a backup was restored, before the region starts; after one of the control region's, in every region.
Whoever has read further than the backup goes on behind it then, instead of missing what is new. It raises the
region's epoch and every tenant's, and in the control region it leaves out the tenant numbers that may have been
given out since. At its start the region erases again what was erased since, as far as the control region knows, and
tells it of organisations that it does not know. Broken off, run it again.
`

const CLUSTER = 'fdb:'

function open(place: string): Promise<Engine> {
  return openEngine(
    place.startsWith(CLUSTER) ? { clusterFile: place.slice(CLUSTER.length) } : { dataDir: place },
  )
}

/** Only what is there: the embedded engine would make a directory that was mistyped. */
function openSource(place: string): Promise<Engine> {
  if (!place.startsWith(CLUSTER) && !existsSync(dataPath(place)))
    throw new StorageError(`There is no database in ${place}.`)
  return open(place)
}

export interface CopyOptions {
  from: string
  to: string
  fromPrefix: string
  toPrefix: string
}

export async function dbCopy(values: CopyOptions): Promise<void> {
  const source = await openSource(values.from)
  try {
    const target = await open(values.to)
    try {
      const from: Side = { engine: source, name: values.from, prefix: values.fromPrefix }
      const to: Side = { engine: target, name: values.to, prefix: values.toPrefix }
      const total = await copyDatabase(from, to, progressLine())
      process.stderr.write(`Copied ${amount(total)} from ${from.name} to ${to.name}.\n`)
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

export interface RestoredOptions {
  in: string
  prefix: string
}

export async function dbRestored({ in: name, prefix }: RestoredOptions): Promise<void> {
  const engine = await openSource(name)
  try {
    const told = seldom()
    const tenants = await markRestored({ engine, name, prefix }, Date.now(), (done) => {
      if (told()) process.stderr.write(`Tenants: ${done.toLocaleString('en')}\n`)
    })
    process.stderr.write(
      `Raised the epochs of the region in ${name} and of its tenants: ${tenants.toLocaleString('en')}.\n`,
    )
  } finally {
    await engine.close()
  }
}

const amount = ({ rows, bytes }: Progress): string =>
  `${rows.toLocaleString('en')} rows, ${(bytes / 1e6).toFixed(1)} MB`

/** @returns true at once, and then at most once a second */
function seldom(): () => boolean {
  let nextMs = Number.NEGATIVE_INFINITY
  return () => {
    const nowMs = performance.now()
    if (nowMs < nextMs) return false
    nextMs = nowMs + 1000
    return true
  }
}

function progressLine(): (progress: Progress) => void {
  const startedMs = performance.now()
  const told = seldom()
  const atStart: { rows?: number } = {}
  return (progress) => {
    atStart.rows ??= progress.rows
    if (!told()) return
    const elapsedMs = Math.max(1, performance.now() - startedMs)
    const perSecond = ((progress.rows - atStart.rows) / elapsedMs) * 1000
    process.stderr.write(`${amount(progress)}, ${Math.round(perSecond).toLocaleString('en')} rows/s\n`)
  }
}
