// What an edge keeps of a tenant for a minute: where it lives and how much it may ask. It travels in internal headers,
// on the back of requests and answers that go anyway: the edge says which version it has, the region sends a newer one.
import type { Limit, Limits } from './limits.ts'
import { PLAN_NAMES, type PlanName } from './plan_names.ts'
import { REGION_NAME } from './region.ts'

/** Grows with every change of plan, limits or region; the epoch with every change of cluster. */
export interface SnapshotVersion {
  epoch: number
  version: number
}

export interface TenantSnapshot extends SnapshotVersion {
  region: string
  plan: PlanName
  limits: Limits
  /** Streams and long requests at the same time. */
  streams: number
  /** Of whose pages may read answers (CORS). */
  corsOrigins: ReadonlyArray<string>
}

/** @returns below 0 when `a` is the older one, 0 when they are the same. */
export const compareVersions = (a: SnapshotVersion, b: SnapshotVersion): number =>
  a.epoch - b.epoch || a.version - b.version

/** Such as `1.42`. */
export const writeVersion = ({ epoch, version }: SnapshotVersion): string => `${epoch}.${version}`

/** @returns undefined for anything that {@link writeVersion} does not write. */
export function readVersion(text: string | null | undefined): SnapshotVersion | undefined {
  const [, epoch, version] = /^(\d{1,15})\.(\d{1,15})$/.exec(text ?? '') ?? []
  return epoch === undefined ? undefined : { epoch: Number(epoch), version: Number(version) }
}

export function writeSnapshot(snapshot: TenantSnapshot): string {
  const { epoch, version, region, plan, limits, streams, corsOrigins } = snapshot
  const numbers = [...Object.values(ordered(limits)).flatMap(pair), streams]
  return JSON.stringify([epoch, version, region, plan, corsOrigins, ...numbers])
}

/** @returns undefined for anything that {@link writeSnapshot} does not write: a mistake must not stop a request. */
export function readSnapshot(text: string | null): TenantSnapshot | undefined {
  if (text === null) return undefined
  let parts: unknown
  try {
    parts = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(parts) || parts.length !== 12) return undefined
  const [epoch, version, region, plan, corsOrigins, ...numbers] = parts as [
    number,
    number,
    string,
    PlanName,
    string[],
    ...number[],
  ]
  if (!Array.isArray(corsOrigins) || corsOrigins.some((each) => typeof each !== 'string')) return undefined
  const whole = [epoch, version].every((each) => Number.isSafeInteger(each) && each >= 0)
  const positive = numbers.every((each) => Number.isFinite(each) && each > 0)
  if (!whole || !positive || !REGION_NAME.test(String(region)) || !PLAN_NAMES.includes(plan)) return undefined
  const limit = (at: number): Limit => ({ rate: numbers[at] ?? 1, burst: numbers[at + 1] ?? 1 })
  const limits = { tenant: limit(0), key: limit(2), ip: limit(4) }
  return { epoch, version, region, plan, limits, streams: numbers[6] ?? 1, corsOrigins }
}

const ordered = ({ tenant, key, ip }: Limits): Limits => ({ tenant, key, ip })
const pair = ({ rate, burst }: Limit): [number, number] => [rate, burst]
