// Where a tenant lives and whose tokens it takes, for credentials that don't say so themselves. Asked of regions on
// first contact and then kept: what is kept only opens the way to the region, which reads all of it again.

import { addressBlock } from '../../shared/address_block.ts'
import {
  type ProviderEntry,
  type ProvidersAnswer,
  providersPath,
  readPlace,
  type TenantName,
  type TenantPlace,
  tenantPath,
} from '../../shared/edge_calls.ts'
import type { Limit } from '../../shared/limits.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { EdgeConfig } from '../env.ts'
import { LocalMeters } from '../limit/local_meters.ts'
import { Lru } from '../lru.ts'
import { type Dated, type Had, Refreshed } from '../refreshed.ts'
import { ASKED_WITHIN_MS, askRegion } from './ask_region.ts'

const FRESH_MS = 45_000
/** A slug, a domain or a provider may be another's by now. */
const STALE_MS = 60_000
/** While the region that would know does not answer, it can't do anything either. */
const KEEP_MS = 60 * 60_000
/** Least time between two questions for the same tenant, when a token is of a provider that is not known. */
const AGAIN_MS = 1_000
const CAPACITY = 10_000
/**
 * Look-ups of what is new here, for all addresses together: nobody's invented names and tokens keep regions busy. An isolate that has
 * just started meets a thousand tenants at once, and their providers.
 */
const FIRST: Limit = { rate: 200, burst: 2_000 }
/** What one address may have of them, so that it leaves room for all others'. */
const OF_ADDRESS: Limit = { rate: 5, burst: 20 }
/** Look-ups again of what was found before: enough to renew all that is kept in its time. */
const AGAIN: Limit = { rate: 500, burst: 1_000 }

export interface TenantDirectoryOptions {
  config: Pick<EdgeConfig, 'regions' | 'controlRegion'>
  waitUntil(work: Promise<unknown>): void
  now(): number
}

/** Whose request it is, where the runtime can tell: nobody is held back for anybody. */
export type Asker = string | undefined
export type Providers = ReadonlyArray<ProviderEntry>

export class TenantDirectory {
  private readonly places: Refreshed<string, TenantPlace>
  private readonly providers: Refreshed<TenantNumber, Providers>
  private readonly lookUps = new LocalMeters()
  /** What has been found here before: looking it up again is no address's. */
  private readonly found = new Lru<string | TenantNumber, true>(2 * CAPACITY)
  private readonly options: TenantDirectoryOptions

  constructor(options: TenantDirectoryOptions) {
    this.options = options
    const common = {
      freshMs: FRESH_MS,
      staleMs: STALE_MS,
      keepMs: KEEP_MS,
      againMs: AGAIN_MS,
      capacity: CAPACITY,
      waitUntil: options.waitUntil,
      now: options.now,
    }
    const onceMs = ASKED_WITHIN_MS + 500
    this.places = new Refreshed({
      ...common,
      loadMs: onceMs,
      load: async (path) => this.dated(await this.askPlace(path)),
    })
    // Of the control region, of the home, and of the home that the tenant has moved to.
    this.providers = new Refreshed({
      ...common,
      loadMs: 3 * onceMs,
      load: async (tenant) => this.dated(await this.askProviders(tenant)),
    })
  }

  placeOf(name: TenantName, asker: Asker): Promise<Had<TenantPlace>> {
    // A number is one tenant's for ever, and the region that it has left knows where it is.
    return this.first(this.places, tenantPath(name), asker, 'number' in name ? KEEP_MS : STALE_MS)
  }

  providersOf(tenant: TenantNumber, asker: Asker): Promise<Had<Providers>> {
    return this.first(this.providers, tenant, asker)
  }

  /** Where a token's provider is not among those of {@link providersOf}: it may have been added since. */
  newerProvidersOf(tenant: TenantNumber, asker: Asker): Promise<Had<Providers>> {
    return this.providers.renewed(tenant, () => this.mayLookUp(asker))
  }

  /** A region said that the providers have changed. */
  forgetProvidersOf(tenant: TenantNumber): void {
    this.providers.forget(tenant)
  }

  private async first<K extends string | TenantNumber, V>(
    values: Refreshed<K, V>,
    key: K,
    asker: Asker,
    staleMs = STALE_MS,
  ): Promise<Had<V>> {
    const had = await values.get(key, staleMs, () =>
      this.found.get(key) === undefined ? this.mayLookUp(asker) : this.admits('again', AGAIN),
    )
    if (had.outcome === 'had') this.found.set(key, true)
    return had
  }

  /** What a stranger may have invented. */
  private mayLookUp(asker: Asker): boolean {
    return (
      (asker === undefined || this.admits(addressBlock(asker), OF_ADDRESS)) && this.admits('first', FIRST)
    )
  }

  private admits(name: string, limit: Limit): boolean {
    return this.lookUps.admit(name, limit, 1, this.options.now()).outcome === 'admitted'
  }

  private dated<V>(value: V | undefined): Dated<V> | undefined {
    return value === undefined ? undefined : { value, atMs: this.options.now() }
  }

  private async askPlace(path: string): Promise<TenantPlace | undefined> {
    return readPlace(await this.ask(this.options.config.controlRegion.name, path))
  }

  private async askProviders(tenant: TenantNumber): Promise<Providers | undefined> {
    const place = await this.places.get(tenantPath({ number: tenant }), KEEP_MS)
    if (place.outcome === 'absent') return undefined
    if (place.outcome === 'unavailable') throw new Error('not known')
    let answer = await this.askHome(place.value.region, tenant)
    if (answer.outcome === 'moved') answer = await this.askHome(answer.region, tenant)
    return answer.outcome === 'known' ? answer.providers : undefined
  }

  private async askHome(region: string, tenant: TenantNumber): Promise<ProvidersAnswer> {
    return (await this.ask(region, providersPath(tenant))) as ProvidersAnswer
  }

  private ask(name: string, path: string): Promise<unknown> {
    const region = this.options.config.regions.get(name)
    if (region === undefined) throw new Error('not known')
    return askRegion(region, path)
  }
}
