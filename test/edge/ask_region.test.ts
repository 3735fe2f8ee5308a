// The edge's own questions take the way of every request: each instance in its turn, none that is known not to answer,
// and another one where the one that was asked is leaving.
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Region, readBindings } from '../../edge/env.ts'
import { FAILURES_TO_OPEN, failed } from '../../edge/forward/breaker.ts'
import { askRegion } from '../../edge/locate/ask_region.ts'
import { bindings } from './support.ts'

/** A region whose instances answer as the test says, and the hosts that were asked. */
async function regionOf(answers: Record<string, () => Response>) {
  const origins = Object.keys(answers).map((host) => `http://${host}`)
  const { controlRegion } = await readBindings(
    await bindings({ REGIONS: JSON.stringify({ us: origins, eu: origins }) }),
  )
  const asked: string[] = []
  const fetching = vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
    const { host } = new URL(String(input))
    asked.push(host)
    return answers[host]?.() ?? Response.error()
  })
  onTestFinished(() => fetching.mockRestore())
  return { region: controlRegion, asked }
}

/** The instance at `http://a`, with requests. */
function failedOften({ instances }: Region, times: number): void {
  for (const instance of instances.all.filter(({ origin }) => origin === 'http://a'))
    for (let i = 0; i < times; i++) instance.breaker = failed(instance.breaker, Date.now())
}

const down = (): never => {
  throw new TypeError('Network connection lost.')
}
const up = () => Response.json('here', { headers: { 'coditect-took': '0.1' } })
const leaving = () => new Response('{}', { status: 503, headers: { 'coditect-draining': '1' } })

test('with two of three instances down, whichever they are, questions are answered', async () => {
  const { region, asked } = await regionOf({ a: down, b: down, c: up })
  const ask = () => askRegion(region, '/edge/v1/x').catch(() => 'nobody')
  // Until both are known to be down, some questions meet nobody else.
  for (let i = 0; i < 3 * FAILURES_TO_OPEN; i++) await ask()
  asked.length = 0
  for (let i = 0; i < 10; i++) expect(await ask()).toBe('here')
  expect(asked.filter((host) => host === 'c')).toHaveLength(10)
})

test('who has not answered requests is not asked questions, and the other way round', async () => {
  const { region, asked } = await regionOf({ a: down, b: up })
  failedOften(region, FAILURES_TO_OPEN)
  expect(await askRegion(region, '/edge/v1/x')).toBe('here')
  expect(asked).toEqual(['b'])
})

test('instances are asked in turns', async () => {
  const { region, asked } = await regionOf({ a: up, b: up, c: up })
  for (let i = 0; i < 6; i++) await askRegion(region, '/edge/v1/x')
  expect(asked.toSorted()).toEqual(['a', 'a', 'b', 'b', 'c', 'c'])
})

test.each<[string, Record<string, () => Response>]>([
  ['behind one address', { a: leaves(3) }],
  ['of several', { a: leaving, b: up }],
])('an instance that is leaving, %s, fails no question', async (_, answers) => {
  const { region } = await regionOf(answers)
  expect(await askRegion(region, '/edge/v1/x')).toBe('here')
  expect(await askRegion(region, '/edge/v1/x')).toBe('here')
})

test('what a load balancer says in an instance’s place is nobody’s answer, and is not read', async () => {
  const cancel = vi.fn()
  const balancer = () => new Response(new ReadableStream({ cancel }), { status: 502 })
  const { region, asked } = await regionOf({ a: balancer, b: up })
  for (let i = 0; i < 3 * FAILURES_TO_OPEN; i++) expect(await askRegion(region, '/edge/v1/x')).toBe('here')
  expect(cancel).toHaveBeenCalledTimes(FAILURES_TO_OPEN)
  expect(asked.slice(-FAILURES_TO_OPEN)).toEqual(Array(FAILURES_TO_OPEN).fill('b'))
})

test.each<[string, Record<string, () => Response>]>([
  ['first', { a: down, b: leaving }],
  ['last', { b: leaving, a: down }],
])(
  'what an instance may have done is in doubt, also where all others are leaving: it stands %s',
  async (_, answers) => {
    const { region, asked } = await regionOf(answers)
    failedOften(region, FAILURES_TO_OPEN - 1)
    const refused: unknown = await askRegion(region, '/edge/v1/x').catch((error) => error)
    expect(asked.toSorted()).toEqual(['a', 'b'])
    expect(refused).toMatchObject({ detail: expect.stringContaining('is unknown') })
    // Now nobody is asked, and that is known.
    const again: unknown = await askRegion(region, '/edge/v1/x').catch((error) => error)
    expect(asked).toHaveLength(2)
    expect(again).toMatchObject({ detail: expect.stringContaining('Nothing was done') })
  },
)

/** So many times it is leaving; then another one is behind its address. */
function leaves(times: number): () => Response {
  let left = times
  return () => (left-- > 0 ? leaving() : up())
}
