// The tokens that share one construction (sessions, webhook sources, invitations): no text but the one that was minted is one, none of
// one kind is one of another, and no text makes a parser throw.
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../shared/bytes.ts'
import { mintInvitation, verifyInvitation } from '../../shared/credentials/invitation_token.ts'
import { type RootState, Roots } from '../../shared/credentials/roots.ts'
import { mintSession, verifySession } from '../../shared/credentials/session_token.ts'
import { mintSourceToken, verifySourceToken } from '../../shared/credentials/source_token.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const secret = toBase64url(new Uint8Array(32).fill(7))
const head = { tenant: asTenantNumber(77n), region: 'us' }
const kinds = [
  {
    kind: 'a session’s',
    prefix: 'ct_',
    mint: (roots: Roots) => mintSession({ ...head, sessionId: newId('ses') }, roots),
    verify: verifySession,
  },
  {
    kind: 'a webhook source’s',
    prefix: 'cw_',
    mint: (roots: Roots) => mintSourceToken({ ...head, sourceId: newId('whs') }, roots),
    verify: verifySourceToken,
  },
  {
    kind: 'an invitation’s',
    prefix: 'ci_',
    mint: (roots: Roots) => mintInvitation({ ...head, invitationId: newId('inv') }, roots),
    verify: verifyInvitation,
  },
]
const inState = (state: RootState) => Roots.import([{ id: 1, secret, state }])
let roots: Roots
beforeAll(async () => {
  roots = await inState('active')
})

describe.each(kinds)('$kind token', ({ prefix, mint, verify }) => {
  test('is the only text of its bytes that verifies', async () => {
    const { text, secretHash } = await mint(roots)
    expect(text.startsWith(prefix)).toBe(true)
    expect((await verify(text, roots))?.secretHash).toBe(secretHash)
    const change = fc.record({
      at: fc.nat(text.length - 1),
      by: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 2 }), fc.constantFrom(...'09AZaz-_=%2e./ ')),
      over: fc.constantFrom(0, 1, 2),
    })
    await fc.assert(
      fc.asyncProperty(change, async ({ at, by, over }) => {
        const altered = text.slice(0, at) + by + text.slice(at + over)
        fc.pre(altered !== text)
        expect(await verify(altered, roots)).toBeUndefined()
      }),
      { numRuns: 1_000 },
    )
    for (const each of [
      ` ${text}`,
      `${text}\n`,
      text.toUpperCase(),
      text.toLowerCase(),
      text + text,
      `${text}=`,
    ]) {
      expect(await verify(each, roots), each).toBeUndefined()
    }
  })

  test('is nothing that anybody could invent, and no text makes the parser throw', async () => {
    const body = fc.oneof(fc.string(), fc.stringMatching(/^[0-9A-Za-z]{20,140}$/))
    await fc.assert(
      fc.asyncProperty(body, fc.boolean(), async (text, prefixed) => {
        expect(await verify(prefixed ? prefix + text : text, roots)).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })

  test('has the right tag, whatever became of its root', async () => {
    const others = await Roots.import([{ id: 1, secret: secret.replace(/^./, 'A'), state: 'active' }])
    const { text } = await mint(others)
    for (const state of ['active', 'retired', 'compromised'] as const) {
      expect(await verify(text, await inState(state))).toBeUndefined()
    }
  })

  test('outlives the retirement of its root', async () => {
    const { text, secretHash } = await mint(roots)
    expect(await verify(text, await inState('retired'))).toEqual(await verify(text, roots))
    expect((await verify(text, await inState('retired')))?.secretHash).toBe(secretHash)
  })

  test('is none of another kind', async () => {
    const { text } = await mint(roots)
    for (const other of kinds.filter((each) => each.prefix !== prefix)) {
      expect(await other.verify(text, roots)).toBeUndefined()
      expect(await other.verify(other.prefix + text.slice(prefix.length), roots)).toBeUndefined()
    }
  })
})

test('of a compromised root a source’s token is for the region to decide, since third parties call its URL; a session has ended', async () => {
  const source = await mintSourceToken({ ...head, sourceId: newId('whs') }, roots)
  const session = await mintSession({ ...head, sessionId: newId('ses') }, roots)
  expect(await verifySourceToken(source.text, await inState('compromised'))).toMatchObject({ unproven: true })
  expect(await verifySession(session.text, await inState('compromised'))).toBeUndefined()
})
