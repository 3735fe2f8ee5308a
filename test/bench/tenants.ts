// Does a tenant feel how many others there are? The same requests of one tenant, among a thousand, a hundred thousand
// and a million tenants in one embedded database; then how fast tenants are made. `SIZES=1000,10000` chooses others.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEngine } from '../../regional/storage/open.ts'
import { RegionSecrets } from '../support/region_client.ts'
import { LoneRegion, type MadeTenant } from './tenants/lone_region.ts'
import { bulkNames, masked, namesOf, type Row, rowFor, rowsOfTenant, writeRows } from './tenants/rows.ts'

const SIZES = '1000,100000,1000000'
const REQUESTS = 4_000
const CLIENTS = 8
const CREATED = 1_000
const CREATORS = 32
/** Far above every number that the directory gives out here. */
const FIRST_BULK_NUMBER = 1_000_000_000n
const ROWS_A_COMMIT = 2_000
const MIB = 1024 * 1024

type Emit = (figure: object) => void
type Say = (line: string) => void

interface Quantiles {
  p50Ms: number
  p99Ms: number
}

interface Measured {
  tenants: number
  readOne: Quantiles
  writeOne: Quantiles
  listOne: Quantiles
  residentMiB: number
}

export async function run(emit: Emit, say: Say): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-tenants-'))
  const secrets = new RegionSecrets(['us'])
  try {
    const { tenant, rows } = await pattern(folder, secrets)
    const measured: Measured[] = []
    let loaded = 0
    for (const size of (process.env.SIZES ?? SIZES).split(',').map(Number)) {
      say(`loading ${size - loaded} tenants …`)
      await bulkLoad(folder, tenant, rows, loaded, size)
      loaded = size
      measured.push(await measure(folder, secrets, size))
      emit({ bench: 'tenants', ...measured.at(-1) })
    }
    const made = await provisioning(folder, secrets)
    emit({ bench: 'tenants', provisioned: made })
    summarise(measured, made, say)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A tenant made in earnest, whose rows are the pattern; a second one shows that the pattern is right. */
async function pattern(folder: string, secrets: RegionSecrets): Promise<{ tenant: MadeTenant; rows: Row[] }> {
  const region = await LoneRegion.start(folder, secrets)
  const [first, second] = [
    await region.makeTenant('pattern-00000001'),
    await region.makeTenant('pattern-00000002'),
  ]
  await region.stop()
  const engine = await openEngine({ dataDir: folder })
  const rows = await rowsOfTenant(engine.native, namesOf(first))
  const actual = await rowsOfTenant(engine.native, namesOf(second))
  await engine.close()
  const expected = rows.map((row) => rowFor(row, namesOf(first), namesOf(second)))
  if (expected.map(masked).join('\n') !== actual.map(masked).join('\n')) {
    const theirs = new Set(actual.map(masked))
    const wrong = expected.map(masked).filter((row) => !theirs.has(row))
    throw new Error(`the rows to load are not the rows that provisioning writes:\n${wrong.join('\n')}`)
  }
  return { tenant: first, rows }
}

async function bulkLoad(
  folder: string,
  tenant: MadeTenant,
  rows: ReadonlyArray<Row>,
  from: number,
  to: number,
): Promise<void> {
  const engine = await openEngine({ dataDir: folder })
  const names = namesOf(tenant)
  function* all(): Generator<Row> {
    for (let n = from; n < to; n++) {
      for (const row of rows) yield rowFor(row, names, bulkNames(FIRST_BULK_NUMBER, n))
    }
  }
  await writeRows(engine.native, all(), ROWS_A_COMMIT)
  await engine.close()
}

/** A tenant of its own for each size, so that it has as much of its own each time. */
async function measure(folder: string, secrets: RegionSecrets, tenants: number): Promise<Measured> {
  const region = await LoneRegion.start(folder, secrets)
  const { key } = await region.makeTenant(`measured-${tenants}`)
  const create = () => expectOk(region.ask(key, 'POST', '/v1/projects', { name: 'One of many' }))
  const { body } = await create()
  const read = () => expectOk(region.ask(key, 'GET', `/v1/projects/${body.id}`))
  const list = () => expectOk(region.ask(key, 'GET', '/v1/projects'))
  for (const warm of [read, create, list]) await repeat(warm, REQUESTS / 4, CLIENTS)
  const measured = {
    tenants,
    readOne: await repeat(read, REQUESTS, CLIENTS),
    writeOne: await repeat(create, REQUESTS, CLIENTS),
    listOne: await repeat(list, REQUESTS, CLIENTS),
    residentMiB: Math.round(region.residentBytes() / MIB),
  }
  await region.stop()
  return measured
}

async function provisioning(
  folder: string,
  secrets: RegionSecrets,
): Promise<{ perSecond: number } & Quantiles> {
  const region = await LoneRegion.start(folder, secrets)
  let made = 0
  const begin = performance.now()
  const times = await repeat(() => region.makeTenant(`made-${made++}`), CREATED, CREATORS)
  const perSecond = Math.round(CREATED / ((performance.now() - begin) / 1000))
  await region.stop()
  return { perSecond, ...times }
}

async function repeat(request: () => Promise<unknown>, count: number, clients: number): Promise<Quantiles> {
  const times: number[] = []
  let left = count
  const client = async () => {
    while (left-- > 0) {
      const begin = performance.now()
      await request()
      times.push(performance.now() - begin)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  const sorted = times.toSorted((a, b) => a - b)
  const at = (part: number) => Number((sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2))
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

async function expectOk<T extends { status: number }>(answer: Promise<T>): Promise<T> {
  const got = await answer
  if (got.status >= 300) throw new Error(`answered ${got.status}`)
  return got
}

function summarise(measured: ReadonlyArray<Measured>, made: { perSecond: number }, say: Say): void {
  const [first, last] = [measured[0], measured.at(-1)]
  if (first === undefined || last === undefined) return
  for (const { tenants, readOne, writeOne, listOne, residentMiB } of measured) {
    const both = ({ p50Ms, p99Ms }: Quantiles) => `${p50Ms} / ${p99Ms} ms`
    say(
      `${tenants} tenants: read ${both(readOne)}, write ${both(writeOne)}, list ${both(listOne)} (p50 / p99), ${residentMiB} MiB`,
    )
  }
  for (const what of ['readOne', 'writeOne', 'listOne'] as const) {
    const ratio = last[what].p99Ms / first[what].p99Ms
    say(
      `${what}: p99 among ${last.tenants} is ${ratio.toFixed(2)} × that among ${first.tenants} (goal: ≤ 1.5)`,
    )
  }
  say(`memory grew by ${last.residentMiB - first.residentMiB} MiB (goal: < 64)`)
  say(`${made.perSecond} tenants made a second (goal: ≥ 200)`)
}
