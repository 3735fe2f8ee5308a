// The readable head that every tenant credential starts with: which root signed it, whose it is, where it was
// minted. A cold edge therefore knows the key to check with and the way to go without a look-up.
import { REGION_BYTES, readRegion, writeRegion } from '../region.ts'
import { asTenantNumber, type TenantNumber } from '../tenant.ts'

export interface CredentialHead {
  /** Which signing root made the tag: 0–255. */
  rootId: number
  tenant: TenantNumber
  /** The region that minted it: the first place to ask, until the tenant moves. */
  region: string
}

const FORMAT_VERSION = 1
/** version (1) · root id (1) · tenant number (8) · region (6) */
export const HEAD_BYTES = 2 + 8 + REGION_BYTES

export function writeHead(head: CredentialHead, into: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset, HEAD_BYTES)
  view.setUint8(0, FORMAT_VERSION)
  view.setUint8(1, head.rootId)
  view.setBigUint64(2, head.tenant)
  writeRegion(head.region, view, 10)
}

/** @returns undefined for another format version, or for bytes that {@link writeHead} never writes. */
export function readHead(from: Uint8Array): CredentialHead | undefined {
  const view = new DataView(from.buffer, from.byteOffset, HEAD_BYTES)
  const region = readRegion(view, 10)
  const tenant = view.getBigUint64(2)
  if (view.getUint8(0) !== FORMAT_VERSION || region === undefined || tenant === 0n) return undefined
  return { rootId: view.getUint8(1), tenant: asTenantNumber(tenant), region }
}
