// `coditect db copy`: from one database to another.
import { existsSync } from 'node:fs'
import { dataPath } from '../regional/storage/embedded/data_file.ts'
import { type Engine, openEngine, StorageError } from '../regional/storage/open.ts'
import { copyDatabase, type Progress, type Side } from './db_copy.ts'

export const COPY_HELP = `
  --from, --to     where the data is and where it goes: a data directory of the embedded engine, or
                   fdb:<path of a cluster file> for a FoundationDB cluster
  --from-prefix, --to-prefix
                   what stands before every key of the region there (ROOT_PREFIX); none by default

Stop the region first: nothing may write to either side meanwhile. Broken off, the same command goes on where
it was. Afterwards the region's epoch and every tenant's are one higher, so that logs keep their order.
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

const amount = ({ rows, bytes }: Progress): string =>
  `${rows.toLocaleString('en')} rows, ${(bytes / 1e6).toFixed(1)} MB`

/** Writes how far it is, at most once a second. */
function progressLine(): (progress: Progress) => void {
  const startedMs = performance.now()
  const atStart: { rows?: number } = {}
  let nextMs = startedMs
  return (progress) => {
    atStart.rows ??= progress.rows
    const nowMs = performance.now()
    if (nowMs < nextMs) return
    nextMs = nowMs + 1000
    const perSecond = ((progress.rows - atStart.rows) / Math.max(1, nowMs - startedMs)) * 1000
    process.stderr.write(`${amount(progress)}, ${Math.round(perSecond).toLocaleString('en')} rows/s\n`)
  }
}
