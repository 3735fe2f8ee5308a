// A service that takes a buffer's memory for the buffer: `document.buffer` where `document` was meant. Below a key space
// kept apart by prefixes it would still reach whatever shares that memory, and no key that it names tells of it.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { chunkedSpace } from '../../regional/storage/chunked_space.ts'
import { counterSpace } from '../../regional/storage/counter_space.ts'
import type { IsolationViolation } from '../../regional/storage/fence.ts'
import { keySpace, serviceSubspace } from '../../regional/storage/keys.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { type ByteTransaction, jsonSpace } from '../../regional/storage/space.ts'
import { RegionDatabase, type ServiceScope } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { temporaryDirectory } from '../storage/temporary.ts'

const VICTIM = asTenantNumber(1n)
const SELF = asTenantNumber(2n)
const SECRET = 'secret of tenant 1'
const documents = chunkedSpace<[string]>('document')
const notes = jsonSpace<[string], string>('note')
const places = jsonSpace<[Buffer], number>('place')
const counts = counterSpace<[string]>('count')

let dataDir: string
let engine: Engine
let database: RegionDatabase
const violations: IsolationViolation[] = []

async function open() {
  engine = await openEngine({ dataDir })
  database = new RegionDatabase(engine.native, keySpace(''), (violation) => violations.push(violation))
}
async function reopen() {
  await engine.close()
  await open()
}
beforeEach(async () => {
  dataDir = await temporaryDirectory()
  violations.length = 0
  await open()
})
afterEach(() => engine.close())

const inService = <T>(tenant: typeof VICTIM, work: (service: ServiceScope) => T, commit = true) =>
  database.tenant(tenant, async (scope) => ({ value: await work(scope.service('records')), commit }))

function fill(service: ServiceScope, text: string) {
  service.space(notes).set(['a'], text)
  service.space(places).set([Buffer.from(text)], 1)
  service.counters(counts).add(['n'], 7)
  service.chunked(documents).set(['a'], Buffer.from(text))
}

/** The transaction below a space: nothing that a service's types show. */
const below = (service: ServiceScope) => (service.space(notes) as unknown as { tn: ByteTransaction }).tn
const range = (tenant: typeof VICTIM): [Buffer, Buffer] => {
  const subspace = Buffer.concat([keySpace('').tenant(tenant), serviceSubspace('records')])
  return [subspace, Buffer.concat([subspace, Buffer.of(0xff)])]
}

/** All the bytes that a service can get of its own keys and values. */
async function readings(service: ServiceScope): Promise<Buffer[]> {
  const tn = below(service)
  const rows = await tn.getRangeAll(...range(SELF))
  const keys = rows.map(([key]) => key)
  const values = await Promise.all(keys.map((key) => tn.get(key)))
  const { entries } = await service.chunked(documents).page({ limit: 9, maxBytes: 1_000 })
  const { entries: keyed } = await service.space(places).page({ limit: 9 })
  const custom = service.space({ name: notes.name, codec: { encode: (x: Buffer) => x, decode: (x) => x } })
  const found = [
    ...rows.flat(),
    ...values,
    await service.chunked(documents).get(['a']),
    ...entries.map(([, value]) => value),
    ...keyed.map(([[place]]) => place),
    await custom.get(['a']),
    await tn.getReadVersion(),
  ]
  return found.map((bytes) => bytes ?? expect.unreachable('something was not read'))
}

test('what a service reads shares no memory with what anyone else keeps, reads or writes', async () => {
  await inService(VICTIM, (service) => fill(service, SECRET))
  await inService(SELF, (service) => fill(service, 'own'))
  const expectOwn = async (service: ServiceScope) => {
    for (const bytes of await readings(service)) expect(bytes.buffer.byteLength).toBe(bytes.byteLength)
  }
  // Of what was committed lately, of what this transaction has written itself, of the file, and of what is kept of it.
  await inService(SELF, expectOwn)
  await inService(SELF, (service) => {
    fill(service, 'own again')
    return expectOwn(service)
  })
  await reopen()
  await inService(SELF, expectOwn)
  await inService(SELF, expectOwn)
})

test('nor does what it makes itself: no residue of a neighbour lies in it', async () => {
  const mine = await inService(SELF, async (service) => {
    const made = [
      Buffer.from('doc'),
      Buffer.concat([Buffer.from('d'), Buffer.from('oc')]),
      Buffer.allocUnsafe(9),
    ]
    await inService(VICTIM, (other) => fill(other, SECRET))
    const [document = expect.unreachable('nothing was made')] = made
    service.chunked(documents).set(['a'], Buffer.from(document.buffer))
    return [...made, Buffer.from('later')]
  })
  for (const { buffer } of mine) expect(Buffer.from(buffer).includes(SECRET)).toBe(false)
  const kept = await inService(SELF, (service) => service.chunked(documents).get(['a']))
  expect(kept?.toString()).toBe('doc')
})

test('and nothing that is written through it changes what another commits', async () => {
  await inService(SELF, (service) => fill(service, 'own'))
  await inService(SELF, async (service) => {
    const before = await readings(service)
    const landed = inService(VICTIM, async (other) => {
      fill(other, SECRET)
      const held = [...before, ...(await readings(service)), Buffer.from('doc')]
      for (const { buffer } of held) new Uint8Array(buffer).fill(0x58)
    })
    const overwritten = setImmediateTwice().then(async () => {
      for (const { buffer } of await readings(service)) new Uint8Array(buffer).fill(0x58)
    })
    await Promise.all([landed, overwritten])
  })
  const expectWhole = () =>
    inService(VICTIM, async (service) => {
      expect((await service.chunked(documents).get(['a']))?.toString()).toBe(SECRET)
      expect(await service.space(notes).get(['a'])).toBe(SECRET)
      expect((await service.space(places).page({ limit: 2 })).entries).toEqual([[[Buffer.from(SECRET)], 1]])
      expect(await service.counters(counts).get(['n'])).toBe(7)
    })
  await expectWhole()
  await reopen()
  await expectWhole()
})

const setImmediateTwice = () => new Promise<void>((done) => setImmediate(() => setImmediate(() => done())))

test('a service that rewrites every prefix it can find stays where it was', async () => {
  await inService(VICTIM, (service) => fill(service, SECRET))
  await inService(SELF, (service) => fill(service, 'own'))
  await inService(
    SELF,
    async (service) => {
      const [from] = range(SELF)
      const [to] = range(VICTIM)
      const spaces = [service.space(notes), service.chunked(documents), service.counters(counts)]
      for (const memory of memoryIn([service, ...spaces])) {
        const bytes = Buffer.from(memory)
        for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) to.copy(bytes, at)
      }
      for (const read of [
        () => service.space(notes).get(['a']),
        async () => (await service.chunked(documents).get(['a']))?.toString(),
      ])
        expect(await read().catch(() => 'refused')).toMatch(/own|refused/)
      expect(await spaces[0]?.get(['a']).catch(() => 'refused')).toMatch(/own|refused/)
    },
    false,
  )
  expect(await inService(VICTIM, (service) => service.space(notes).get(['a']))).toBe(SECRET)
})

/** All memory that can be reached from these objects by their properties. */
function memoryIn(objects: ReadonlyArray<object>): Set<ArrayBufferLike> {
  const seen = new Set<object>(objects)
  const memory = new Set<ArrayBufferLike>()
  for (const object of seen) {
    if (ArrayBuffer.isView(object)) {
      memory.add(object.buffer)
      continue
    }
    for (const { value } of Object.values(Object.getOwnPropertyDescriptors(object)))
      if (typeof value === 'object' && value !== null) seen.add(value)
  }
  return memory
}
