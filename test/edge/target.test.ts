import fc from 'fast-check'
import { expect, test } from 'vitest'
import { targetOf } from '../../edge/target.ts'
import { asserted } from './asserted.ts'
import { bearer, edgeTo, newHookPath, newKey, newMarker, OPERATOR_TOKEN, seen } from './support.ts'

const edge = await edgeTo()
const key = await newKey()

const ODD = [
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2E%2e',
  '%2F',
  '%5c',
  '\\',
  '%',
  '%zz',
  'ü',
  '%c3%bc',
  '&',
  '=',
  '+',
  "'",
  '"',
  '|',
  '^',
  '`',
  '{',
  ';',
  ':',
  '@',
  '*',
  '~',
  '%00',
  '%20',
  'a',
]
const segments = fc.array(fc.constantFrom(...ODD), { maxLength: 6 }).map((parts) => parts.join(''))

test('the target that is signed is the target that a region sees, whatever the path', async () => {
  const marker = newMarker()
  await fc.assert(
    fc.asyncProperty(segments, segments, async (path, query) => {
      await edge.request(new Request(`http://edge/v1/${path}?${marker}&${query}`, { headers: bearer(key) }))
    }),
    { numRuns: 300 },
  )
  const requests = await seen(marker)
  expect(requests.length).toBeGreaterThan(100)
  for (const { method, target, headers } of requests) {
    await asserted(headers['coditect-assertion'], { region: 'us', method, target })
    expect(target).toMatch(/^\/v1\//)
  }
})

test.each([
  ['POST', '/v1/projects/prj_01h455vb4pex5vsknk084sn02q/agents/agt_01h455vb4pex5vsknk084sn02q/runs'],
  ['POST', '/v1/projects/prj_01h455vb4pex5vsknk084sn02q/collections/notes/records:batch'],
  ['GET', '/v1/projects/prj_01h455vb4pex5vsknk084sn02q/collections/my-notes/records'],
  ['POST', '/platform/v1/tenants'],
  ['POST', '/hooks/'],
])('%s %s with a character escaped that need not be reaches no region', async (method, begins) => {
  const path = begins === '/hooks/' ? await newHookPath() : begins
  const marker = newMarker()
  const as = path.startsWith('/platform') ? OPERATOR_TOKEN : key
  const init = { method, headers: path.startsWith('/hooks') ? {} : bearer(as) }
  // Before that it is another part of the edge, or none.
  const from = Math.max(path.indexOf('/v1/') + 4, path.indexOf('/hooks/') + 7)
  for (let at = from; at < path.length; at++) {
    if (/[/:]/.test(path.charAt(at))) continue
    const hex = path.charCodeAt(at).toString(16)
    for (const escaped of [`%${hex}`, `%${hex.toUpperCase()}`]) {
      const spelling = path.slice(0, at) + escaped + path.slice(at + 1)
      const answer = await edge.request(new Request(`http://edge${spelling}?${marker}`, init))
      expect(answer.status, spelling).toBe(400)
      expect(await answer.json()).toMatchObject({ code: 'malformed_request' })
    }
  }
  expect(await seen(marker)).toEqual([])
})

test('dots are resolved before anything reads the path, in every spelling', () => {
  for (const dots of ['..', '%2e%2e', '.%2E', '%2E.']) {
    expect(targetOf(`http://edge/v1/${dots}/platform/v1/tenants?x`)).toEqual({
      path: '/platform/v1/tenants',
      full: '/platform/v1/tenants?x',
    })
  }
})

test("the request's Host has no say in its target", () => {
  for (const host of ['edge', 'h*', 'a b', '[', ''])
    expect(targetOf(`http://${host}/v1/x?y`).full).toBe('/v1/x?y')
  expect(targetOf('http://edge//v1//x').full).toBe('//v1//x')
  expect(targetOf('http://edge*').full).toBe('/')
})

test('what needs no normalising is left as a URL parser would leave it', () => {
  const character = fc.constantFrom(...'ab/.-~%2e:@!$&()*+,;=?[]\\"\'<`{|}^é\t #')
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 12 }), (rest) => {
      const { pathname, search } = new URL(`http://edge/${rest}`)
      expect(targetOf(`http://edge/${rest}`)).toEqual({ path: pathname, full: pathname + search })
    }),
    { numRuns: 5_000 },
  )
})
