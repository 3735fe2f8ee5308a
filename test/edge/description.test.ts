// What an isolate keeps of the API's description, so that strangers cost no region anything: how old it may be, on a clock of
// the test's. (How it is answered: test/e2e/docs.test.ts.)
import { expect, onTestFinished, test, vi } from 'vitest'
import { description } from '../../edge/console/docs/description.ts'
import { readBindings } from '../../edge/env.ts'
import { bindings } from './support.ts'

const OF_REGION = { headers: { 'coditect-took': '0.1' } }

/** Of a control region that answers as the test says. */
async function steered() {
  const region = { asked: 0, down: false, version: 1 }
  const clock = { nowMs: 1_000_000_000 }
  const background: Promise<unknown>[] = []
  const fetching = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => {
    region.asked++
    if (region.down) return new Response('', { status: 503 })
    return Response.json({ version: region.version }, OF_REGION)
  })
  onTestFinished(() => fetching.mockRestore())
  const describe = description({
    config: await readBindings(await bindings()),
    waitUntil: (work) => void background.push(work),
    now: () => clock.nowMs,
  })
  return { region, clock, describe, settled: () => Promise.all(background.splice(0)) }
}

test('however many look at it, the region is asked for it once a minute', async () => {
  const { region, clock, describe, settled } = await steered()
  const first = await describe()
  for (let i = 0; i < 50; i++) expect(await describe()).toEqual({ text: '{"version":1}', etag: first.etag })
  expect(region.asked).toBe(1)
  region.version = 2
  clock.nowMs += 60_000
  await describe()
  await settled()
  const second = await describe()
  expect(second.text).toBe('{"version":2}')
  expect(second.etag).not.toBe(first.etag)
  expect(region.asked).toBe(2)
})

test('after ten minutes nobody is shown an old one', async () => {
  const { region, clock, describe } = await steered()
  await describe()
  region.version = 2
  clock.nowMs += 600_000
  expect((await describe()).text).toBe('{"version":2}')
})

test('while no region answers the last one holds, for a day; where there is none, that is said', async () => {
  const { region, clock, describe, settled } = await steered()
  region.down = true
  await expect(describe()).rejects.toMatchObject({ code: 'region_unavailable' })
  clock.nowMs += 2_000
  region.down = false
  await describe()
  region.down = true
  clock.nowMs += 24 * 3_600_000 - 1
  expect((await describe()).text).toBe('{"version":1}')
  await settled()
  clock.nowMs += 2_000
  await expect(describe()).rejects.toMatchObject({ code: 'region_unavailable' })
})
