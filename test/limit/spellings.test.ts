// Edge and region read one and the same path, in whatever spelling it comes: what it costs and whether it takes long, the edge
// tells by the path as it came, and the region routes by the decoded one.
import fc from 'fast-check'
import { getPath } from 'hono/utils/url'
import { expect, test } from 'vitest'
import { costOf } from '../../edge/limit/cost.ts'
import { needsSlot } from '../../edge/limit/slots.ts'
import { targetOf } from '../../edge/target.ts'
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

const escaped = (character: string): string => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`
/** An operation's path with some characters escaped, once or twice over, and some put in between. */
const spelling = fc
  .tuple(
    fc.constantFrom(...operations.map(({ declaration }) => declaration)),
    fc.array(
      fc.tuple(fc.nat(), fc.constantFrom('escape', 'twice', 'insert'), fc.constantFrom(...'%:/\n2"~')),
      {
        maxLength: 3,
      },
    ),
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

test('in every spelling that passes, the region’s path costs what the edge’s does', () => {
  fc.assert(
    fc.property(spelling, ({ method, sent }) => {
      const { path } = targetOf(`http://edge${sent}`)
      if (!isPlainlySpelled(path)) return
      const routed = getPath(new Request(`http://region${path}`))
      expect(costOf(method, path), `${path} and ${routed}`).toBe(costOf(method, routed))
      expect(needsSlot(method, path), `${path} and ${routed}`).toBe(needsSlot(method, routed))
    }),
    { numRuns: 5_000 },
  )
})
