// A fence over a recorder, and how a test sees that it shut.

import type { NativeDatabase, NativeTransaction } from 'foundationdb/dist/lib/native.js'
import { expect } from 'vitest'
import {
  fenceTransaction,
  type Grant,
  IsolationViolation,
  type OnViolation,
  prefixRange,
} from '../../regional/storage/fence.ts'
import { type Call, fakeTransaction, recorded } from './fence_recorder.ts'

export type Row = readonly [key: Buffer, value: Buffer]

export function tenantPrefix(tenant: bigint): Buffer {
  const bytes = Buffer.alloc(9, 1)
  bytes.writeBigUInt64BE(tenant, 1)
  return bytes
}

/** A fence over a transaction that only notes what reaches it and reads `rows`. */
export function fencedFake(grant: Grant, rows: ReadonlyArray<Row> = []) {
  const calls: Call[] = []
  const violations: IsolationViolation[] = []
  const native = recorded(fakeTransaction(rows), calls)
  const report = (violation: IsolationViolation) => violations.push(violation)
  const tn = fenceTransaction(native, grant, report)
  return { tn, calls, violations, methods: () => calls.map(({ method }) => method) }
}

/** A service's fence over its tenant's. */
export function stackedFake(tenant: Grant, service: Grant, rows: ReadonlyArray<Row> = []) {
  const outer = fencedFake(tenant, rows)
  const violations: IsolationViolation[] = []
  const tn = fenceTransaction(outer.tn, service, (violation) => violations.push(violation))
  return { tn, violations, outer }
}

/** For what the package does with a database: each of its transactions behind a fence of its own. */
export const fenceDatabase = (
  native: NativeDatabase,
  grant: Grant,
  onViolation: OnViolation,
): NativeDatabase => ({
  createTransaction: () => fenceTransaction(native.createTransaction(), grant, onViolation),
  setOption: () => expect.unreachable('the database was changed'),
  close: () => expect.unreachable('the database was closed'),
})

/** The refusal that `call` must end in, thrown or rejected. */
export async function violationOf(call: () => unknown, about?: string): Promise<IsolationViolation> {
  const error: unknown = await Promise.try(call).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof IsolationViolation) return error
  return expect.unreachable(`no violation: ${about ?? String(call)}; ${String(error)}`)
}

/** A versionstamped key: `begin`, ten bytes for the stamp, `behind`, and `place` in the last four bytes. */
export function stampedKey(begin: Buffer, place: number, behind = Buffer.alloc(0)): Buffer {
  const key = Buffer.concat([begin, Buffer.alloc(10, 0x73), behind, Buffer.alloc(4)])
  key.writeUInt32LE(place >>> 0, key.length - 4)
  return key
}

/** A whole range, read at once. */
export function readAll(
  tn: NativeTransaction,
  begin: string | Buffer,
  end: string | Buffer,
  reverse = false,
) {
  return tn.getRange(begin, false, 1, end, false, 1, 0, 0, -2, 1, false, reverse)
}

export const grantOf = (tenant: bigint): Grant => ({
  name: `tenant ${tenant}`,
  readWrite: prefixRange(tenantPrefix(tenant)),
})
