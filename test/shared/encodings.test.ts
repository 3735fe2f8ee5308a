import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base62Width, fromBase62, toBase62 } from '../../shared/base62.ts'
import { equalInConstantTime, fromBase64url, toBase64url } from '../../shared/bytes.ts'
import { ID_PREFIXES, idBytes, idFromBytes, newId } from '../../shared/ids.ts'
import { readRegion, writeRegion } from '../../shared/region.ts'
import { asTenantNumber, parseTenantNumber, tenantId, tenantNumberOf } from '../../shared/tenant.ts'

const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => new Uint8Array(array))

describe('encodings are canonical: what decodes, encodes to itself', () => {
  test('base62 gives back what went in', () => {
    fc.assert(
      fc.property(bytes, (b) => {
        expect(fromBase62(toBase62(b), b.length)).toEqual(b)
      }),
    )
  })

  test('any base62 text is refused or is the one spelling of its bytes', () => {
    const text = fc.stringMatching(/^[0-9A-Za-z]{22}$/)
    fc.assert(
      fc.property(text, (t) => {
        const decoded = fromBase62(t, 16)
        expect(decoded === undefined || toBase62(decoded) === t).toBe(true)
      }),
    )
    expect(base62Width(16)).toBe(22)
    expect(fromBase62('z'.repeat(22), 16)).toBeUndefined()
  })

  test('any base64url text is refused or is the one spelling of its bytes', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), (t) => {
        const decoded = fromBase64url(t)
        expect(decoded === undefined || toBase64url(decoded) === t).toBe(true)
      }),
    )
    expect(fromBase64url('QQ')).toEqual(new Uint8Array([65]))
    expect(fromBase64url('QR')).toBeUndefined()
    expect(fromBase64url('QQ==')).toBeUndefined()
  })

  test('an id has one spelling, and its prefix is part of it', () => {
    const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => new Uint8Array(array))
    fc.assert(
      fc.property(sixteen, fc.constantFrom(...ID_PREFIXES), (b, prefix) => {
        const id = idFromBytes(prefix, b)
        expect(idBytes(prefix, id)).toEqual(b)
        expect(idBytes(prefix === 'ten' ? 'prj' : 'ten', id)).toBeUndefined()
      }),
    )
    const id = newId('prj')
    expect(idBytes('prj', id.toUpperCase())).toBeUndefined()
    expect(idBytes('prj', `prj_8${id.slice(5)}`)).toBeUndefined()
  })

  test('ids sort by the time they were made', () => {
    expect(newId('prj', 1_000_000) < newId('prj', 1_000_001)).toBe(true)
    expect(newId('prj', 2 ** 40) < newId('prj', 2 ** 40 + 1)).toBe(true)
  })
})

test('a tenant id carries its number', () => {
  const number = fc.bigInt({ min: 1n, max: 2n ** 62n - 1n })
  fc.assert(
    fc.property(number, fc.integer({ min: 0, max: 2 ** 44 }), (n, at) => {
      expect(tenantNumberOf(tenantId(asTenantNumber(n), at))).toBe(n)
    }),
  )
  expect(tenantNumberOf(newId('prj'))).toBeUndefined()
})

test('a tenant number has one text, and zero is nobody', () => {
  expect(parseTenantNumber('18446744073709551615')).toBe(2n ** 64n - 1n)
  for (const text of ['0', '', '01', '-1', '1.0', ' 1', '18446744073709551616', '1e3']) {
    expect(parseTenantNumber(text)).toBeUndefined()
  }
})

test('a region name fits its six bytes, and no two names share them', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
  fc.assert(
    fc.property(name, (n) => {
      const view = new DataView(new ArrayBuffer(6))
      writeRegion(n, view, 0)
      expect(readRegion(view, 0)).toBe(n)
    }),
  )
  const random = fc.uint8Array({ minLength: 6, maxLength: 6 })
  fc.assert(
    fc.property(random, (array) => {
      const view = new DataView(new Uint8Array(array).buffer)
      const read = readRegion(view, 0)
      if (read === undefined) return
      const again = new DataView(new ArrayBuffer(6))
      writeRegion(read, again, 0)
      expect(new Uint8Array(again.buffer)).toEqual(new Uint8Array(array))
    }),
  )
})

test('comparison sees every difference', () => {
  const same = new Uint8Array([1, 2, 3])
  expect(equalInConstantTime(same, new Uint8Array([1, 2, 3]))).toBe(true)
  for (const other of [[1, 2, 4], [0, 2, 3], [1, 2], [1, 2, 3, 0], []]) {
    expect(equalInConstantTime(same, new Uint8Array(other))).toBe(false)
  }
})
