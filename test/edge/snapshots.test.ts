// What an isolate knows of tenants from their regions' answers: never older than a minute, never the older of two,
// never more than so many.
import { expect, test } from 'vitest'
import { Snapshots } from '../../edge/locate/snapshots.ts'
import type { TenantSnapshot } from '../../shared/snapshot.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const wide = { rate: 1_000, burst: 1_000 }
const snapshotOf = (epoch: number, version: number): TenantSnapshot => ({
  epoch,
  version,
  region: 'us',
  plan: 'team',
  limits: { tenant: wide, key: wide, ip: wide },
  streams: 10,
  corsOrigins: [],
})
const [a, b, c] = [asTenantNumber(1n), asTenantNumber(2n), asTenantNumber(3n)]
const NOW = 1_000_000

test('a snapshot is held for a minute, counted from when it was learnt last', () => {
  const snapshots = new Snapshots()
  const snapshot = snapshots.learn(a, snapshotOf(1, 1), NOW)
  expect(snapshots.get(a, NOW + 59_999)).toBe(snapshot)
  expect(snapshots.get(b, NOW)).toBeUndefined()
  snapshots.learn(a, snapshot, NOW + 30_000)
  expect(snapshots.get(a, NOW + 89_999)).toBe(snapshot)
  expect(snapshots.get(a, NOW + 90_000)).toBeUndefined()
})

test('an older one takes no newer one’s place, and does not make it live longer', () => {
  const snapshots = new Snapshots()
  const newer = snapshots.learn(a, snapshotOf(2, 1), NOW)
  for (const older of [snapshotOf(1, 9), snapshotOf(2, 0)]) {
    expect(snapshots.learn(a, older, NOW + 30_000)).toBe(newer)
  }
  expect(snapshots.get(a, NOW + 59_999)).toBe(newer)
  expect(snapshots.get(a, NOW + 60_000)).toBeUndefined()
  // Once it is forgotten, whatever the region says counts.
  const older = snapshotOf(1, 1)
  expect(snapshots.learn(a, older, NOW + 60_000)).toBe(older)
})

test('the tenant that was asked for the longest ago is forgotten first', () => {
  const snapshots = new Snapshots(2)
  for (const tenant of [a, b]) snapshots.learn(tenant, snapshotOf(1, 1), NOW)
  snapshots.get(a, NOW)
  snapshots.learn(c, snapshotOf(1, 1), NOW)
  expect([a, b, c].map((tenant) => snapshots.get(tenant, NOW) !== undefined)).toEqual([true, false, true])
})

test('an isolate holds twenty thousand', () => {
  const snapshots = new Snapshots()
  const numbers = Array.from({ length: 20_001 }, (_, i) => asTenantNumber(BigInt(i + 1)))
  for (const tenant of numbers) snapshots.learn(tenant, snapshotOf(1, 1), NOW)
  expect(numbers.filter((tenant) => snapshots.get(tenant, NOW) !== undefined).length).toBe(20_000)
})
