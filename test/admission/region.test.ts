// Admission in real regions, over HTTP: what a tenant that asks too much means for it, and for the others.

import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { noteBusy } from '../../regional/observe/request.ts'
import { type Service, tenantOperation } from '../../regional/tenancy/service.ts'
import { type TenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { type NotedTransaction, openNoted } from './noted_engine.ts'

/** Answers when the test says so, and holds its place until then. */
class Gate {
  private opened = Promise.withResolvers<void>()
  inside = 0
  /** Whose requests came in, in this order. */
  readonly order: TenantNumber[] = []
  /** Of large requests, each by itself: what ends them. */
  readonly large: Array<() => void> = []
  readonly service: Service = {
    name: 'gate',
    operations: [
      tenantOperation({
        name: 'pass',
        method: 'get',
        path: '/v1/gate',
        tag: 'Test',
        summary: 'Wait until the gate is opened',
        scope: 'projects:read',
        answers: { 200: z.object({}) },
        handle: async ({ context }) => {
          this.inside++
          this.order.push(context.tenant)
          await this.opened.promise
          return { status: 200, body: {} }
        },
      }),
      tenantOperation({
        name: 'passLarge',
        method: 'get',
        path: '/v1/gate/large',
        tag: 'Test',
        summary: 'Take as much as one request may',
        scope: 'projects:read',
        answers: { 200: z.object({}) },
        handle: async () => {
          noteBusy(50)
          await new Promise<void>((resolve) => this.large.push(resolve))
          return { status: 200, body: {} }
        },
      }),
      tenantOperation({
        name: 'passSoon',
        method: 'get',
        path: '/v1/gate/soon',
        tag: 'Test',
        summary: 'Take as much as one request may, for a while',
        scope: 'projects:read',
        answers: { 200: z.object({}) },
        handle: async () => {
          noteBusy(50)
          await pause(200)
          return { status: 200, body: {} }
        },
      }),
    ],
  }

  open(): void {
    this.opened.resolve()
  }

  close(): void {
    this.opened = Promise.withResolvers<void>()
    this.inside = 0
    this.order.length = 0
  }
}

const transactions: NotedTransaction[] = []
/** What the disk stands still for. */
let disk: Promise<void> | undefined

const gate = new Gate()
let regions: Regions
let noisy: string
let quiet: string
beforeAll(async () => {
  regions = await startRegions({
    extraServices: [gate.service],
    open: (where) => openNoted(where, transactions, () => disk),
  })
  ;({ key: noisy } = await regions.newTenant('noisy', 'us'))
  ;({ key: quiet } = await regions.newTenant('quiet', 'us'))
})
beforeEach(() => gate.close())
afterAll(() => regions.close())

const pass = (key: string, headers: Record<string, string> = {}) =>
  regions.ask('us', { as: key, path: '/v1/gate', headers })
const read = (key: string) => regions.ask('us', { as: key, path: '/v1/projects' })
const waiting = async (): Promise<number> => {
  const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
  return Number(/^coditect_requests_waiting\S* (\d+)$/m.exec(text)?.[1])
}
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await pause(5)
}

test('a tenant whose requests hold every place it can get does not hold up another', async () => {
  const held = Array.from({ length: 400 }, () => pass(noisy))
  const refused: number[] = []
  for (const each of held) {
    void each.then(({ status }) => status === 503 && refused.push(status))
  }
  await until(() => refused.length > 100)
  for (let i = 0; i < 20; i++) expect((await read(quiet)).status).toBe(200)
  gate.open()
  const answers = await Promise.all(held)
  const letIn = answers.filter(({ status }) => status === 200)
  expect(letIn.length).toBe(gate.inside)
  for (const { status, headers, body } of answers) {
    if (status === 200) continue
    expect([status, body.code]).toEqual([503, 'overloaded'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  }
})

test('while the disk stands still, changes wait for it and reads do not', async () => {
  const { key } = await regions.newTenant('writing', 'us')
  const create = (name: string) =>
    regions.ask('us', { as: key, method: 'POST', path: '/v1/projects', body: { name } })
  // What a change costs is known then.
  expect((await create('first')).status).toBe(201)
  const { promise, resolve: goesOn } = Promise.withResolvers<void>()
  disk = promise
  const creations = Array.from({ length: 80 }, (_, i) => create(`at once ${i}`))
  try {
    await until(() => transactions.filter(({ isCommitting }) => isCommitting).length >= creations.length)
    for (const as of [key, quiet]) expect((await read(as)).status).toBe(200)
  } finally {
    disk = undefined
    goesOn()
  }
  for (const { status } of await Promise.all(creations)) expect(status).toBe(201)
})

test('of two that want more than there is, the one on the larger plan gets more turns', async () => {
  const passLarge = async (slug: string) => {
    const { key } = await regions.newTenant(slug, 'us')
    return regions.ask('us', { as: key, path: '/v1/gate/large' })
  }
  const first = passLarge('large-first')
  await until(() => gate.large.length === 1)
  gate.large.shift()?.()
  await first
  // So each of the others is known to take an eighth of all there is.
  const others = Array.from({ length: 8 }, (_, i) => passLarge(`large-${i}`))
  await until(() => gate.large.length === 8)
  const small = await regions.newTenant('small-plan', 'us')
  const large = await regions.newTenant('large-plan', 'us')
  const held = Array.from({ length: 40 }, () => [
    pass(small.key, { 'coditect-plan': 'free' }),
    pass(large.key, { 'coditect-plan': 'enterprise' }),
  ]).flat()
  let refused = 0
  for (const each of held) void each.then(({ status }) => status === 503 && refused++)
  while ((await waiting()) < 60) await pause(5)
  gate.large.shift()?.()
  await until(() => refused + gate.inside === held.length)
  const passedOf = ({ id }: { id: string }) =>
    gate.order.filter((tenant) => tenant === tenantNumberOf(id)).length
  expect(passedOf(large)).toBeGreaterThan(2 * passedOf(small))
  gate.open()
  for (const end of gate.large.splice(0)) end()
  await Promise.all([...held, ...others])
})

test('a region where most tenants wait, second after second, is not ready for more', async () => {
  const ready = async (query = '') => (await fetch(`${regions.url('us')}/readyz${query}`)).status
  const tenants = await Promise.all([1, 2, 3].map((n) => regions.newTenant(`waiting-${n}`, 'us')))
  const passSoon = (as: string) => regions.ask('us', { as, path: '/v1/gate/soon' })
  // So each is known to take an eighth of all there is: eight have room.
  for (const { key } of tenants) expect((await passSoon(key)).status).toBe(200)
  expect(await ready()).toBe(200)
  let over = false
  const keepAsking = async (key: string) => {
    while (!over) if ((await passSoon(key)).status === 503) await pause(50)
  }
  const asking = tenants.flatMap(({ key }) => Array.from({ length: 10 }, () => keepAsking(key)))
  try {
    await vi.waitUntil(async () => (await ready()) !== 200, { interval: 100, timeout: 20_000 })
    const body = await (await fetch(`${regions.url('us')}/readyz`)).json()
    expect([body, await ready('?exclude=overloaded')]).toMatchObject([{ status: 'overloaded' }, 200])
  } finally {
    over = true
    await Promise.all(asking)
  }
})

test('what was refused never began, and its body was not looked at', async () => {
  const { body: before } = await read(noisy)
  const held = Array.from({ length: 400 }, () => pass(noisy))
  let answered = 0
  for (const each of held) void each.then(() => answered++)
  await until(() => answered > 100)
  const create = { as: noisy, method: 'POST', path: '/v1/projects', body: 'not JSON' }
  const soon = { 'x-request-deadline': String(Date.now() + 100) }
  const { body } = await regions.ask('us', { ...create, headers: soon })
  gate.open()
  await Promise.all(held)
  expect(body.code).toBe('overloaded')
  expect((await read(noisy)).body).toEqual(before)
})

test('what waits for its turn is not done once its client has gone away', async () => {
  const { key } = await regions.newTenant('leaving', 'us')
  const { body: before } = await read(key)
  const held: Array<ReturnType<typeof pass>> = []
  while ((await waiting()) === 0) held.push(...Array.from({ length: 10 }, () => pass(key)))
  const [gone, others] = [new AbortController(), await waiting()]
  const create = { as: key, method: 'POST', path: '/v1/projects', body: { name: 'Nobody waits' } }
  const asked = Array.from({ length: 5 }, () => regions.open('us', create, gone.signal))
  while ((await waiting()) < others + 5) await pause(5)
  gone.abort()
  await Promise.allSettled(asked)
  while ((await waiting()) > others) await pause(5)
  gate.open()
  await Promise.all(held)
  expect((await read(key)).body).toEqual(before)
})

test('a stream that waits holds no place', async () => {
  const { id, key } = await regions.newTenant('listening', 'us')
  const ask = { as: key, path: '/v1/events', headers: { accept: 'text/event-stream' } }
  const streams = await Promise.all(Array.from({ length: 150 }, () => regions.open('us', ask)))
  expect(streams.every(({ status }) => status === 200)).toBe(true)
  const held = Array.from({ length: 40 }, () => pass(noisy))
  await until(() => gate.inside === 40)
  gate.open()
  for (const { status } of await Promise.all(held)) expect(status).toBe(200)
  const path = `/platform/v1/tenants/${id}`
  await regions.ask('us', { as: 'operator', method: 'PATCH', path, body: { status: 'suspended' } })
  for (const stream of streams) expect(await stream.text()).toContain('tenant_suspended')
})

test('a cluster is told whose each transaction is, and which ones nobody waits for', async () => {
  transactions.length = 0
  const create = { as: quiet, method: 'POST', path: '/v1/projects', body: { name: 'Tagged' } }
  const { body } = await regions.ask('us', create)
  const own = transactions.findLast(({ tag, batch }) => tag !== undefined && !batch)
  expect(own?.tag).toMatch(/^t[0-9a-z]{1,15}$/)
  transactions.length = 0
  await regions.ask('us', { as: quiet, method: 'DELETE', path: `/v1/projects/${body.id}` })
  await until(() => transactions.some(({ batch }) => batch))
  for (const { tag } of transactions.filter(({ batch }) => batch)) expect(tag).toBeDefined()
})
