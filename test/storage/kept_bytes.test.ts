import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ownGrant } from '../../regional/storage/grant.ts'
import { kept } from '../../regional/storage/kept_bytes.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { packedName, prefixOf } from '../../regional/storage/space.ts'
import { upkeepOf } from '../../regional/tenancy/pointers.ts'
import { type TenantKeys, TenantKeysCache } from '../../regional/tenancy/tenant_keys.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

test('what is kept is a copy that nothing else writes into, however long', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 6_000 }), { maxLength: 40 }), (texts) => {
      const copies = texts.map(kept)
      const before = texts.map((text) => Buffer.from(text))
      for (const text of texts) text.fill(0)
      expect(copies).toEqual(before)
    }),
  )
})

test('a thousand short ones have slabs of their own, not one of Node’s each', () => {
  const slabs = new Set<ArrayBufferLike>()
  for (let i = 0; i < 1_000; i++) {
    // What passes by meanwhile.
    Buffer.allocUnsafe(4_000)
    slabs.add(kept(Buffer.from(`prefix of tenant ${i}`)).buffer)
  }
  expect(slabs.size).toBeLessThan(4)
})

test('what lives for one transaction takes none of the slabs of what stays', () => {
  const keys = keySpace('')
  const cache = new TenantKeysCache(keys)
  const names = ['one', 'other'].map(packedName)
  const slabs = new Set<ArrayBufferLike>()
  let bytes = 0
  const stays = (buffer: Buffer) => {
    slabs.add(buffer.buffer)
    bytes += buffer.length
  }
  for (const use of [
    (own: TenantKeys) => own.system('status'),
    (own: TenantKeys) => own.service('records').subspace,
    (own: TenantKeys) => own.system('jobs'),
  ]) {
    for (let number = 1n; number <= 200n; number++) {
      const tenant = asTenantNumber(number)
      const own = cache.of(tenant)
      ownGrant(own.grant)
      const subspace = use(own)
      stays(subspace)
      for (const name of names) stays(prefixOf(subspace, name))
      for (let i = 0; i < 60; i++) {
        ownGrant({ ...own.grant, writeOnly: upkeepOf(keys.region, tenant, [i]) })
      }
    }
  }
  // Grants that stay lie in them too.
  expect(slabs.size * 16 * 1024).toBeLessThan(10 * bytes)
})
