// What an edge asks regions for itself, before it knows who its client is: where a tenant lives, and whose tokens it
// takes; and how much a tenant may ask by now, where no answer to its requests says so. The answers say nothing secret,
// hold for a while, and decide nothing: the home region reads it all again.
import { REGION_NAME } from './region.ts'
import { type SnapshotVersion, writeVersion } from './snapshot.ts'
import { parseTenantNumber, type TenantNumber } from './tenant.ts'

/** A tenant by number, by slug, or by a domain that it has shown to be its own. */
export type TenantName = { number: TenantNumber } | { slug: string } | { domain: string }

export interface TenantPlace {
  number: TenantNumber
  region: string
}

/** As much of an identity provider as it takes to check a token. */
export interface ProviderEntry {
  id: string
  issuer: string
  audience: string
  /** Whose values are to be told. */
  roleClaim: string | null
}

export type ProvidersAnswer =
  | { outcome: 'known'; providers: ReadonlyArray<ProviderEntry> }
  | { outcome: 'moved'; region: string }
  /** No such tenant, or not one that lets anyone in. */
  | { outcome: 'unknown' }

/** Whether an instance runs. Not `/healthz`: Google's front ends answer that themselves. */
export const ALIVE_PATH = '/alive'

/** To the control region. */
export function tenantPath(name: TenantName): string {
  if ('slug' in name) return `/edge/v1/tenants/slug/${name.slug}`
  if ('domain' in name) return `/edge/v1/tenants/domain/${name.domain}`
  return `/edge/v1/tenants/number/${name.number}`
}

/** To the tenant's home region. */
export const providersPath = (tenant: TenantNumber): string => `/edge/v1/identity-providers/${tenant}`

export interface SnapshotAnswer {
  /** As `writeSnapshot` has it; null where the edge's is the present one, and where the tenant does not live. */
  snapshot: string | null
  /** The region that it has moved to. */
  movedTo?: string
}

/**
 * To the tenant's home region.
 * @param held what the edge has; undefined when it has none
 */
export const snapshotPath = (tenant: TenantNumber, held: SnapshotVersion | undefined): string =>
  `/edge/v1/snapshots/${tenant}${held ? `?held=${writeVersion(held)}` : ''}`

/** To the region that a tenant lived in. Whoever began the erasure knows its job's id, and nobody else does. */
export const erasurePath = (tenant: TenantNumber, job: string): string => `/edge/v1/erasures/${tenant}/${job}`

/** How far an erasure is. */
export interface ErasureShown {
  state: 'queued' | 'running' | 'done'
  /** In bytes; the total is an estimate. */
  done: number
  total: number | null
  secondsLeft: number | null
  /** Of what is over. */
  certificate: {
    requestedBy: string
    endedAt: string
    keys: number
    bytes: number
    finalScan: { at: string; keysFound: number }
  } | null
}

export const writePlace = (place: TenantPlace | undefined): object => ({
  tenant: place === undefined ? null : { number: String(place.number), region: place.region },
})

/** @returns undefined when there is no such tenant. @throws {Error} for what no region writes */
export function readPlace(body: unknown): TenantPlace | undefined {
  const { tenant } = body as { tenant: { number: string; region: string } | null }
  if (tenant === null) return undefined
  const number = parseTenantNumber(tenant.number)
  if (number === undefined || !REGION_NAME.test(tenant.region)) throw new Error('not a place')
  return { number, region: tenant.region }
}
