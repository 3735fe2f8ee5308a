// Regions are killed in the middle of sending webhooks, at instants that a seed decides. Every event arrives; in order where
// that is asked; and nothing comes again that was recorded as delivered. `WEBHOOK_EVENTS` and `WEBHOOK_KILLS` make it longer.
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Random } from '../faults/random.ts'
import { type Received, startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { type KillableRegions, startKillableRegions } from './killing.ts'

const EVENTS = Number(process.env.WEBHOOK_EVENTS ?? 300)
const KILLS = Number(process.env.WEBHOOK_KILLS ?? 2)
const SEED = Number(process.env.WEBHOOK_SEED ?? 20_261_124)
/** At the same time: as many as the region sends to one endpoint where order does not matter. */
const MOST_AT_ONCE = 16
const PATIENCE_MS = 60_000 + EVENTS * 50

let regions: KillableRegions
let receiver: WebhookReceiver
beforeAll(async () => {
  receiver = await startReceiver()
  regions = await startKillableRegions({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' })
})
afterAll(async () => {
  await regions.close()
  await receiver.close()
})

test(`of ${EVENTS} events all arrive through ${KILLS} kills (seed ${SEED})`, {
  timeout: 2 * PATIENCE_MS,
}, async () => {
  const draw = new Random(SEED)
  const random = () => draw.next()
  const { key } = await regions.newTenant('killed', 'us')
  const ask = (path: string, more = {}) => regions.ask('us', { as: key, path, ...more })
  const create = (path: string, body: object) => ask(path, { method: 'POST', body })
  for (const mode of ['fifo', 'parallel']) {
    // So that a kill finds some on their way.
    receiver.answer(`/${mode}`, (_, response) => {
      setTimeout(() => response.writeHead(200).end(), mode === 'parallel' ? random() * 20 : 0)
    })
    const url = receiver.url(`/${mode}`)
    expect((await create('/v1/webhook-endpoints', { url, mode, types: ['project.created'] })).status).toBe(
      201,
    )
  }

  let created = 0
  const writing = async () => {
    while (created < EVENTS) {
      created++
      // What was under way at a kill may have been committed or not: the feed says so afterwards.
      await create('/v1/projects', { name: 'One' }).catch(() => pause(50))
    }
  }
  const written = Promise.all([writing(), writing()])
  const recorded: Array<{ ids: Set<string>; from: number }> = []
  const remember = async () => {
    const ids = new Set<string>()
    for (let cursor = ''; ; ) {
      const { status, body } = await ask(`/v1/deliveries?status=delivered&limit=100${cursor}`)
      expect(status).toBe(200)
      for (const { eventId, endpointId } of body.data) ids.add(`${endpointId} ${eventId}`)
      if (body.nextCursor === null) break
      cursor = `&cursor=${body.nextCursor}`
    }
    recorded.push({ ids, from: receiver.received.length })
  }
  for (let kill = 1; kill <= KILLS; kill++) {
    await vi.waitFor(() => expect(receiver.received.length).toBeGreaterThan((kill * EVENTS) / (KILLS + 2)), {
      timeout: PATIENCE_MS,
    })
    await remember()
    await pause(random() * 30)
    await regions.killAndRestart('us')
  }
  await written

  const events: Array<{ id: string; sequence: string }> = []
  for (let after = ''; ; ) {
    const { body } = await ask(`/v1/events?types=project.created&limit=100${after}`)
    events.push(...body.data)
    if (body.nextCursor === null) break
    after = `&after=${body.nextCursor}`
  }
  expect(events.length).toBeGreaterThan(EVENTS / 2)
  const arrived = (mode: string) => receiver.at(`/${mode}`).map(({ body }) => body)
  await vi.waitFor(
    () => {
      for (const mode of ['fifo', 'parallel']) {
        expect(new Set(arrived(mode).map(({ id }) => id)).size).toBe(events.length)
      }
    },
    { timeout: PATIENCE_MS, interval: 100 },
  )

  // Nothing is overtaken: not even what is sent again comes behind what is newer.
  const sequences = arrived('fifo').map(({ sequence }) => sequence)
  expect(sequences).toEqual(sequences.toSorted())
  // At most what was in flight was sent again.
  expect(sequences.length - events.length).toBeLessThanOrEqual(KILLS)
  // Their results are recorded together, so at a kill there are also some that have come back and are not recorded yet.
  expect(arrived('parallel').length - events.length).toBeLessThanOrEqual(KILLS * 2 * MOST_AT_ONCE)
  // Nothing that was recorded came again.
  const endpoints = (await ask('/v1/webhook-endpoints')).body.data as Array<{ id: string; mode: string }>
  const idOf = ({ path, body }: Received) =>
    `${endpoints.find(({ mode }) => `/${mode}` === path)?.id} ${body.id}`
  for (const { ids, from } of recorded) {
    expect(ids.size).toBeGreaterThan(0)
    expect(receiver.received.slice(from).filter((each) => ids.has(idOf(each)))).toEqual([])
  }
  // And all of it is recorded in the end, each once.
  await vi.waitFor(
    async () => {
      await remember()
      expect(recorded.at(-1)?.ids.size).toBe(2 * events.length)
    },
    { timeout: PATIENCE_MS, interval: 500 },
  )
  // So whoever comes after another kill has nothing to send but what is new.
  const from = receiver.received.length
  await regions.killAndRestart('us')
  const { body: last } = await create('/v1/projects', { name: 'Last' })
  await vi.waitFor(() => expect(receiver.received.length).toBeGreaterThanOrEqual(from + 2), {
    timeout: PATIENCE_MS,
  })
  const came = receiver.received.slice(from).map(({ path, body }) => [path, body.data.resource])
  expect(came.toSorted()).toEqual([
    ['/fifo', last.id],
    ['/parallel', last.id],
  ])
})
