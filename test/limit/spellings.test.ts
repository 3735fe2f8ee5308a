// Edge and region read one and the same path, in whatever spelling it comes: what it costs and whether it takes long, the edge
// tells by the path as it came, and the region routes by the decoded one.
import fc from 'fast-check'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { SmartRouter } from 'hono/router/smart-router'
import { TrieRouter } from 'hono/router/trie-router'
import { getPath } from 'hono/utils/url'
import { expect, test } from 'vitest'
import { costOf, needsSlot } from '../../edge/limit/cost.ts'
import { targetOf } from '../../edge/target.ts'
import { routedPath, routePattern } from '../../regional/operation.ts'
import { isPlainlySpelled } from '../../shared/path_spelling.ts'
import { canonicalTarget } from '../../shared/signed_url.ts'
import { operations, pathOf } from './operations.ts'

const READ = ['/v1/tenant', '/v1/projects/a~b.c-d_e', '/v1/projects/%c3%bc', '/v1/x%2Fy', '/v1/%3a', '/%25']
const REFUSED = ['/v1/%74enant', '/v1/%54', '/v1/%2d', '/v1/a%2Eb', '/v1/%5F', '/v1/%7e', '/v1/%30', '/%2%65']

test('what need not be escaped may not be', () => {
  expect(READ.filter((path) => !isPlainlySpelled(path))).toEqual([])
  expect(REFUSED.filter(isPlainlySpelled)).toEqual([])
  expect(canonicalTarget('/v1/projects?a=%61')).toBe('/v1/projects?a=%61')
  expect(canonicalTarget('/v1/%70rojects')).toBeUndefined()
})

const BATCH = pathOf('/v1/projects/{id}/collections/{name}/records:batch')
/** Among them whatever could stand for the colon of a verb. */
const INSERTED = [...'%:/\n2"~ #', '%20', '%23', '%0A', '%3A']

const escaped = (character: string): string => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`
/** An operation's path with some characters escaped, once or twice over, and some put in between. */
const spelling = fc
  .tuple(
    fc.constantFrom(...operations.map(({ declaration }) => declaration)),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom('escape', 'twice', 'insert'), fc.constantFrom(...INSERTED)), {
      maxLength: 3,
    }),
  )
  .map(([{ method, path }, changes]) => {
    const characters = [...pathOf(path)]
    for (const [n, change, other] of changes) {
      const at = n % characters.length
      const character = characters[at] ?? ''
      if (change === 'insert') characters[at] = character + other
      else if (character.length === 1) {
        characters[at] = change === 'twice' ? `%25${escaped(character).slice(1)}` : escaped(character)
      }
    }
    return { method: method.toUpperCase(), sent: characters.join('') }
  })

/** As a region finds its operations. */
const routes = new SmartRouter<string>({ routers: [new RegExpRouter(), new TrieRouter()] })
for (const { declaration } of operations) {
  routes.add(declaration.method.toUpperCase(), routePattern(declaration.path), declaration.path)
}
const operationAt = (method: string, path: string): string | undefined =>
  routes.match(method, routedPath(getPath(new Request(`http://region${path}`))))[0][0]?.[0]

test('in every spelling that passes, the edge takes what the region’s operation costs', () => {
  let found = 0
  fc.assert(
    fc.property(spelling, ({ method, sent }) => {
      const { path } = targetOf(`http://edge${sent}`)
      const operation = isPlainlySpelled(path) ? operationAt(method, path) : undefined
      if (operation === undefined) return
      found++
      expect(costOf(method, path), `${path} is ${operation}`).toBe(costOf(method, pathOf(operation)))
      expect(needsSlot(method, path), `${path} is ${operation}`).toBe(needsSlot(method, pathOf(operation)))
    }),
    { numRuns: 5_000, examples: [[{ method: 'POST', sent: BATCH.replace(':', '%20') }]] },
  )
  expect(found).toBeGreaterThan(1_000)
})

test('a verb is found behind its colon, and behind nothing else', () => {
  const found = (other: string) => operationAt('POST', BATCH.replace(':', other))?.endsWith(':batch') ?? false
  expect(INSERTED.filter(found)).toEqual([':'])
})
