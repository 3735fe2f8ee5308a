#!/usr/bin/env node
// The command line. Errors that its user can mend are one line; anything else shows where it came from.
import { parseArgs } from 'node:util'
import { type Engine, openEngine, StorageError } from '../regional/storage/open.ts'
import { copyDatabase, type Progress, type Side } from './db_copy.ts'

const HELP = `coditect <command>

  db copy    copies a region's data to another, empty database and raises its epoch
`

const COPY_HELP = `coditect db copy --from <place> --to <place> [--from-prefix <text>] [--to-prefix <text>]

  --from, --to     where the data is and where it goes: a data directory of the embedded engine, or
                   fdb:<path of a cluster file> for a FoundationDB cluster
  --from-prefix, --to-prefix
                   what stands before every key of the region there (ROOT_PREFIX); none by default

Stop the region first: nothing may write to either side meanwhile. Broken off, the same command goes on where
it was. Afterwards the region's epoch and every tenant's are one higher, so that logs keep their order.
`

class UsageError extends Error {}

const CLUSTER = 'fdb:'

function open(place: string): Promise<Engine> {
  return openEngine(
    place.startsWith(CLUSTER) ? { clusterFile: place.slice(CLUSTER.length) } : { dataDir: place },
  )
}

async function dbCopy(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      'from-prefix': { type: 'string', default: '' },
      'to-prefix': { type: 'string', default: '' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(COPY_HELP)
    return
  }
  if (!values.from || !values.to)
    throw new UsageError('db copy needs --from and --to; see coditect db copy --help')
  const source = await open(values.from)
  try {
    const target = await open(values.to)
    try {
      const from: Side = { engine: source, name: values.from, prefix: values['from-prefix'] }
      const to: Side = { engine: target, name: values.to, prefix: values['to-prefix'] }
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

async function main([noun, verb, ...rest]: string[]): Promise<void> {
  if (noun === 'db' && verb === 'copy') return dbCopy(rest)
  process.stdout.write(HELP)
  if (noun !== undefined && noun !== '--help' && noun !== '-h')
    throw new UsageError(`there is no command ${noun}`)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const mendable =
    error instanceof StorageError ||
    error instanceof UsageError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
  process.stderr.write(`coditect: ${mendable ? error.message : ((error as Error).stack ?? error)}\n`)
  process.exitCode = 1
}
