import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { toBase62 } from '../../shared/base62.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { hashApiKey, mintApiKey, verifyApiKey } from '../../shared/credentials/api_key.ts'
import { crc32 } from '../../shared/credentials/crc32.ts'
import { type RootState, Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const secret = () => toBase64url(randomBytes(32))
const first = secret()
const second = secret()
const rootsWith = (state: RootState) => Roots.import([{ id: 7, secret: first, state }])
const claims = { tenant: asTenantNumber(2n ** 40n + 5n), region: 'eu', keyId: newId('key') }
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-.= '

describe('an API key', () => {
  let roots: Roots
  let key: { text: string; secretHash: string }
  beforeAll(async () => {
    roots = await rootsWith('active')
    key = await mintApiKey('live', claims, roots)
  })

  test('says offline whose it is, where to go and which root signed it', async () => {
    expect(key.text).toMatch(/^ck_live_[0-9A-Za-z]+$/)
    expect(await verifyApiKey(key.text, roots)).toEqual({
      outcome: 'verified',
      key: { ...claims, rootId: 7 },
      secretHash: key.secretHash,
    })
    expect(await hashApiKey(key.text)).toBe(key.secretHash)
  })

  test('is refused with any one character changed, added or left out', async () => {
    const at = fc.nat(key.text.length - 1)
    const other = fc.constantFrom(...ALPHABET)
    await fc.assert(
      fc.asyncProperty(at, other, fc.constantFrom('change', 'insert', 'drop'), async (i, character, how) => {
        const { text } = key
        const rest = text.slice(how === 'insert' ? i : i + 1)
        const mutated = text.slice(0, i) + (how === 'drop' ? '' : character) + rest
        if (mutated !== text) expect((await verifyApiKey(mutated, roots)).outcome).toBe('refused')
      }),
      { numRuns: 500 },
    )
  })

  test('is refused when it was invented, checksum and all', async () => {
    const body = randomBytes(72)
    const checked = new Uint8Array(76)
    checked.set(body)
    const prefixed = new Uint8Array([...new TextEncoder().encode('ck_live_'), ...body])
    new DataView(checked.buffer).setUint32(72, crc32(prefixed))
    expect((await verifyApiKey(`ck_live_${toBase62(checked)}`, roots)).outcome).toBe('refused')
  })

  test('no text makes the parser throw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `ck_live_${s}`),
        ),
        async (text) => {
          expect((await verifyApiKey(text, roots)).outcome).toBe('refused')
        },
      ),
    )
  })

  test('of another environment, or of another root’s secret, is refused', async () => {
    expect((await verifyApiKey(key.text.replace('ck_live_', 'ck_test_'), roots)).outcome).toBe('refused')
    const others = await Roots.import([{ id: 7, secret: second, state: 'active' }])
    expect((await verifyApiKey(key.text, others)).outcome).toBe('refused')
  })

  test('of a retired root still verifies; of a compromised one only the region can tell', async () => {
    expect((await verifyApiKey(key.text, await rootsWith('retired'))).outcome).toBe('verified')
    expect((await verifyApiKey(key.text, await rootsWith('compromised'))).outcome).toBe('unproven')
  })

  test.each(['retired', 'compromised'] as const)(
    'of a %s root needs the right tag all the same',
    async (state) => {
      const of = await rootsWith(state)
      const secret = await Roots.import([{ id: 7, secret: second, state: 'active' }])
      expect((await verifyApiKey((await mintApiKey('live', claims, secret)).text, of)).outcome).toBe(
        'refused',
      )
      const at = fc.integer({ min: 'ck_live_'.length, max: key.text.length - 1 })
      await fc.assert(
        fc.asyncProperty(at, fc.constantFrom(...ALPHABET), async (i, character) => {
          const altered = key.text.slice(0, i) + character + key.text.slice(i + 1)
          fc.pre(altered !== key.text)
          expect((await verifyApiKey(altered, of)).outcome).toBe('refused')
        }),
      )
    },
  )
})

test('the newest active root signs', async () => {
  const roots = await Roots.import([
    { id: 1, secret: first, state: 'active' },
    { id: 2, secret: second, state: 'active' },
    { id: 3, secret: secret(), state: 'retired' },
  ])
  expect(roots.signing().id).toBe(2)
  await expect(mintApiKey('live', claims, await rootsWith('retired'))).rejects.toThrow('no signing root')
})

test('CRC-32 is the one of zip', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
})
