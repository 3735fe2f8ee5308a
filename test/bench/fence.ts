// What isolation costs: a project made through fence, tenant transaction and service, beside the bare package reading
// and writing the very same keys and values in a plain transaction. Rounds take turns, so that the machine's moods hit
// both alike.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projects } from '../../regional/services/projects/routes.ts'
import { prefixRange } from '../../regional/storage/fence.ts'
import {
  Database,
  encoders,
  MutationType,
  type NativeDatabase,
  type NativeTransaction,
  root,
  Subspace,
  type TupleItem,
  tuple,
} from '../../regional/storage/foundationdb.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import type { TransactDependencies } from '../../regional/tenancy/admission.ts'
import { CredentialUses } from '../../regional/tenancy/credential_uses.ts'
import { Sealer } from '../../regional/tenancy/idempotency.ts'
import { TenantLifecycle } from '../../regional/tenancy/lifecycle.ts'
import { ShardLoans } from '../../regional/tenancy/quotas.ts'
import type { CredentialRecord } from '../../regional/tenancy/records.ts'
import { RefusalLog } from '../../regional/tenancy/refusals.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { transact } from '../../regional/tenancy/transact.ts'
import { UsageMeter } from '../../regional/tenancy/usage.ts'
import type { Verified } from '../../regional/tenancy/verify.ts'
import { utf8 } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const CLIENTS = 50
const ROUNDS = 10
const A_ROUND = 2_000
const TENANT = asTenantNumber(7n)
const NEIGHBOUR = asTenantNumber(8n)
const keys = keySpace('')

type Emit = (figure: object) => void
type Say = (line: string) => void
type Work = (client: number) => Promise<unknown>

export async function run(emit: Emit, say: Say): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-fence-'))
  const engine = await openEngine({ dataDir: folder })
  try {
    const { dependencies, principal } = await tenantOf(engine.native)
    const ours = createProject(dependencies, principal)
    const calls: Call[] = []
    const recording = { ...dependencies, database: regionDatabase(recorded(engine.native, calls)) }
    // Not the first request, which opens the tenant's quota and its hour of expiries.
    await ours(0)
    await createProject(recording, principal)(0)
    const bare = await sameKeys(engine.native, calls)

    const rates: Record<'ours' | 'bare', number[]> = { ours: [], bare: [] }
    await rate(ours)
    await rate(bare)
    for (let round = 0; round < ROUNDS; round++) {
      rates.bare.push(await rate(bare))
      rates.ours.push(await rate(ours))
    }
    const ratio = median(rates.ours.map((each, i) => each / (rates.bare[i] ?? each)))
    const figure = {
      oursPerSecond: Math.round(median(rates.ours)),
      barePerSecond: Math.round(median(rates.bare)),
    }
    emit({
      bench: 'fence',
      keysRead: reads(calls).length,
      keysWritten: writes(calls).length,
      ...figure,
      ratio,
    })
    say(
      `${figure.oursPerSecond} projects/s fenced, ${figure.barePerSecond} bare: ${ratio.toFixed(2)} × (goal: ≥ 0.9)`,
    )
  } finally {
    await engine.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const regionDatabase = (native: NativeDatabase): RegionDatabase =>
  new RegionDatabase(native, keys, (violation) => {
    throw violation
  })

/** A live tenant in this database, and whoever may do everything in it. */
async function tenantOf(
  native: NativeDatabase,
): Promise<{ dependencies: TransactDependencies; principal: TenantPrincipal }> {
  const database = regionDatabase(native)
  const sealer = new Sealer(randomBytes(32))
  const secretHash = randomBytes(32).toString('base64url')
  const record: CredentialRecord = {
    id: newId('key'),
    name: 'All',
    scopes: ['*'],
    secretHash,
    createdAt: new Date().toISOString(),
    expiresAt: null,
  }
  const mint = async () => ({ text: 'never shown', record })
  const linkAdmin = async () => ({ url: 'never shown', secretHash })
  const lifecycle = new TenantLifecycle({ database, region: 'us', mint, linkAdmin, sealer, now: Date.now })
  const intent = {
    slug: 'fenced',
    name: 'Fenced',
    plan: 'enterprise' as const,
    owner: { email: 'o@x.example' },
  }
  const by = { operatorId: 'ops', requestId: newId('req'), publicOrigin: 'https://api.test' }
  await lifecycle.provision(TENANT, intent, by)
  await lifecycle.activate(TENANT)
  return {
    dependencies: {
      database,
      sealer,
      loans: new ShardLoans(),
      refusals: new RefusalLog(database),
      usage: new UsageMeter(database, Date.now),
      uses: new CredentialUses(database),
      now: Date.now,
    },
    principal: { kind: 'api_key', tenant: TENANT, keyId: record.id, secretHash },
  }
}

function createProject(dependencies: TransactDependencies, principal: TenantPrincipal): Work {
  const create = projects(() => []).operations.find(({ name }) => name === 'create')
  if (create?.answers !== 'in_transaction') throw new Error('projects cannot be created')
  const body = utf8('{"name":"One of many"}')
  const raw = {
    params: {},
    query: {},
    contentType: 'application/json',
    body,
    ifMatch: undefined,
    idempotencyKey: undefined,
  }
  // What the app does before the transaction begins (ids, reading the body) is not measured here.
  const work = create.prepare(raw)
  const requestIds = Array.from({ length: (ROUNDS + 2) * A_ROUND }, () => newId('req'))
  return () => {
    const request = {
      // A benchmark has no edge to sign for it.
      verified: { principal, requestId: requestIds.pop() } as unknown as Verified<TenantPrincipal>,
      service: 'projects',
      action: 'projects.create',
      scope: 'projects:write' as const,
      kind: 'write' as const,
      route: 'post /v1/projects',
      target: undefined,
      idempotencyKey: undefined,
      content: body,
      clientIp: undefined,
      weight: 1,
      // As an edge that has the present snapshot.
      held: { epoch: 1, version: 1 },
      tell: () => {},
    }
    return transact(dependencies, request, work)
  }
}

interface Call {
  method: 'get' | 'set' | 'atomicOp'
  args: [Buffer, Buffer] | [number, Buffer, Buffer]
}

/** The reads and writes that reach the engine, noted on the way. */
function recorded(native: NativeDatabase, calls: Call[]): NativeDatabase {
  const noted = new Set(['get', 'set', 'atomicOp'])
  const note = (tn: NativeTransaction): NativeTransaction =>
    new Proxy(tn, {
      get(target, name) {
        const method: unknown = Reflect.get(target, name)
        if (typeof method !== 'function') return method
        return (...args: unknown[]) => {
          if (noted.has(String(name))) calls.push({ method: name, args } as Call)
          return Reflect.apply(method, target, args)
        }
      },
    })
  return { createTransaction: () => note(native.createTransaction()), setOption() {}, close() {} }
}

const reads = (calls: ReadonlyArray<Call>) => calls.filter(({ method }) => method === 'get')
const writes = (calls: ReadonlyArray<Call>) => calls.filter(({ method }) => method !== 'get')

/**
 * The same reads and writes by the package alone, as one would write them with it: subspaces with its tuple keys and
 * JSON values, in a neighbour's prefix that holds the same rows.
 */
async function sameKeys(native: NativeDatabase, calls: ReadonlyArray<Call>): Promise<Work> {
  const database = new Database(native, root)
  const [ours, theirs] = [keys.tenant(TENANT), keys.tenant(NEIGHBOUR)]
  const moved = (key: Buffer) => Buffer.concat([theirs, key.subarray(theirs.length)])
  const { begin, end } = prefixRange(ours)
  await database.doTn(async (tn) => {
    for (const [key, value] of await tn.getRangeAll(begin, end)) tn.set(moved(key), value)
  })

  const isWritten = new Set(writes(calls).map(({ args }) => keyOf(args).toString('hex')))
  /** A key as the package takes it. What a request writes is new each time, but for its client's quota shard. */
  const keyed = (key: Buffer) => {
    const length = subspaceLength(key)
    const subspace = new Subspace(moved(key.subarray(0, length)), encoders.tuple, encoders.json)
    const items = tuple.unpack(key.subarray(length)) as TupleItem[]
    const last = items.at(-1)
    const anew = (client: number, unique: string): TupleItem => {
      if (!isWritten.has(key.toString('hex')) || last === undefined) return last ?? null
      if (typeof last === 'number') return client
      return Buffer.isBuffer(last) ? randomBytes(last.length) : unique
    }
    return {
      subspace,
      items: (client: number, unique: string) => [...items.slice(0, -1), anew(client, unique)],
    }
  }
  const read = reads(calls).map(({ args }) => keyed(args[0] as Buffer))
  const set = writes(calls)
    .filter(({ method }) => method === 'set')
    .map(({ args }) => ({ ...keyed(keyOf(args)), value: JSON.parse(String(args[1])) as unknown }))
  const atomic = writes(calls)
    .filter(({ method }) => method === 'atomicOp')
    .map(({ args: [operation, key, value] }) => ({
      operation: operation as number,
      key: moved(key as Buffer),
      value: encoder(operation as number, value as Buffer),
    }))
  return (client) =>
    database.doTn(async (tn) => {
      const unique = newId('prj')
      await Promise.all(read.map(({ subspace, items }) => tn.at(subspace).get(items(client, unique))))
      for (const { subspace, items, value } of set) tn.at(subspace).set(items(client, unique), value)
      for (const { operation, key, value } of atomic) tn.atomicOpNative(operation, key, value())
    })
}

/** Logs hold JSON, which is encoded each time; a counter's one is always the same eight bytes. */
function encoder(operation: number, value: Buffer): () => Buffer {
  if (operation !== MutationType.SetVersionstampedKey) return () => value
  const entry: unknown = JSON.parse(value.toString())
  return () => Buffer.from(JSON.stringify(entry))
}

/** Where the tuple of a key begins: behind the tenant and one byte, or behind a service's name. */
function subspaceLength(key: Buffer): number {
  const system = keys.tenant(TENANT).length + 1
  return key[system - 1] === 0x10 ? key.indexOf(0, system) + 1 : system
}

const keyOf = (args: Call['args']): Buffer => (Buffer.isBuffer(args[0]) ? args[0] : (args[1] as Buffer))

async function rate(work: Work): Promise<number> {
  let left = A_ROUND
  const begin = performance.now()
  const client = async (number: number) => {
    while (left-- > 0) await work(number)
  }
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)))
  return A_ROUND / ((performance.now() - begin) / 1000)
}

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
