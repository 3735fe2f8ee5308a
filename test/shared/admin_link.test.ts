// Admin links and session tokens: what was changed in any byte, or is another tenant's or host's, is none.
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { mintAdminLink, verifyAdminLink } from '../../shared/admin_link.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { type RootState, Roots } from '../../shared/credentials/roots.ts'
import { mintSession, verifySession } from '../../shared/credentials/session_token.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const ORIGIN = 'https://api.example'
const secret = toBase64url(new Uint8Array(32).fill(7))
const rootsIn = (state: RootState) =>
  Roots.import([
    { id: 1, secret, state },
    { id: 2, secret: toBase64url(new Uint8Array(32).fill(9)), state: 'retired' },
  ])
const claims = {
  tenant: asTenantNumber(77n),
  region: 'eu',
  linkId: newId('lnk'),
  expiresAtMs: 1_900_000_000_000,
}
let roots: Roots
let url: string
beforeAll(async () => {
  roots = await rootsIn('active')
  ;({ url } = await mintAdminLink(claims, ORIGIN, roots))
})

const verify = (link: string, origin = ORIGIN, using = roots) =>
  verifyAdminLink({ origin, target: link.slice(ORIGIN.length) }, using)

describe('an admin link', () => {
  test('says whose it is, where to ask, and until when', async () => {
    const verdict = await verify(url)
    expect(verdict).toMatchObject({ outcome: 'verified', link: claims })
    expect(url).toMatch(/^https:\/\/api\.example\/admin\/enter\?link=cl_[0-9A-Za-z]+$/)
  })

  test('does not verify with any byte changed, added or left out', async () => {
    const at = fc.integer({ min: ORIGIN.length, max: url.length - 1 })
    const change = fc.oneof(
      fc.record({ at, kind: fc.constant('replaced'), by: fc.integer({ min: 0x21, max: 0x7e }) }),
      fc.record({ at, kind: fc.constant('added'), by: fc.integer({ min: 0x21, max: 0x7e }) }),
      fc.record({ at, kind: fc.constant('left out'), by: fc.constant(0) }),
    )
    await fc.assert(
      fc.asyncProperty(change, async ({ at, kind, by }) => {
        const text = kind === 'left out' ? '' : String.fromCharCode(by)
        const altered = url.slice(0, at) + text + url.slice(kind === 'added' ? at : at + 1)
        fc.pre(altered !== url)
        expect((await verify(altered)).outcome).toBe('refused')
      }),
      { numRuns: 1_000 },
    )
    for (const more of ['&a=1', '#x', ' ', '%20', '=']) {
      expect((await verify(url + more)).outcome, more).toBe('refused')
    }
  })

  test('for another host is told apart, so that it can be said', async () => {
    expect((await verify(url, 'https://api.other')).outcome).toBe('elsewhere')
    expect((await verify(url, 'http://api.example')).outcome).toBe('elsewhere')
  })

  test('of a retired root verifies, of a compromised or unknown one not', async () => {
    expect((await verify(url, ORIGIN, await rootsIn('retired'))).outcome).toBe('verified')
    expect((await verify(url, ORIGIN, await rootsIn('compromised'))).outcome).toBe('refused')
    const others = await Roots.import([{ id: 3, secret, state: 'active' }])
    expect((await verify(url, ORIGIN, others)).outcome).toBe('refused')
  })
})

describe('a session’s token', () => {
  const session = { tenant: asTenantNumber(77n), region: 'us', sessionId: newId('ses') }

  test('says whose it is, and does not verify with any character changed', async () => {
    const { text, secretHash } = await mintSession(session, roots)
    expect(await verifySession(text, roots)).toMatchObject({ session, secretHash })
    for (let at = 0; at < text.length; at++) {
      for (const by of ['0', 'Z', 'a', '-']) {
        if (text[at] === by) continue
        expect(await verifySession(text.slice(0, at) + by + text.slice(at + 1), roots)).toBeUndefined()
      }
    }
  })

  test('is no admin link, and an admin link no session', async () => {
    const { text } = await mintSession(session, roots)
    const token = url.split('link=')[1] ?? ''
    expect((await verify(url.replace(token, text))).outcome).toBe('refused')
    expect((await verify(url.replace(token, text.replace('ct_', 'cl_')))).outcome).toBe('refused')
    expect(await verifySession(token, roots)).toBeUndefined()
    expect(await verifySession(token.replace('cl_', 'ct_'), roots)).toBeUndefined()
  })

  test('of a compromised root is nothing any more', async () => {
    const { text } = await mintSession(session, roots)
    expect(await verifySession(text, await rootsIn('compromised'))).toBeUndefined()
  })
})
