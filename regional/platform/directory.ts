// The directory of tenants, in the control region: number, slug and region of each, and not one byte more. Of a tenant
// that was erased the number stays, with its region, so that it is nobody's ever again; its slug is free.
import { z } from 'zod'
import { parseTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { numberKey, numberOfKey } from '../storage/keys.ts'
import { jsonSpace, type Page } from '../storage/space.ts'
import type { RegionDatabase, Scope } from '../tenancy/region_database.ts'

export interface DirectoryEntry {
  slug: string
  region: string
}

/** `elsewhere`: a directory that lost its data has given the number to another tenant, of another region. */
export type Standing = 'here' | 'erased' | 'unknown' | 'elsewhere'

const bySlug = jsonSpace<[slug: string], string>('slug')
const byNumber = jsonSpace<[number: Buffer], DirectoryEntry>('tenant')
const erased = jsonSpace<[number: Buffer], Pick<DirectoryEntry, 'region'>>('erased')
/** Verified domains of tenants: whose, and by which of its records. */
const byDomain = jsonSpace<[domain: string], { number: string; id: string }>('domain')
const domainsOf = jsonSpace<[number: Buffer, domain: string], 1>('domains')
const nextNumber = jsonSpace<['next'], string>('number')

const FREED_AT_A_TIME = 500

/** Numbers taken from the directory at a time, so that making tenants does not queue for one key. */
const LEASE = 32

/** Far more than are made between two backups. */
const SKIPPED = 1_000_000n

/**
 * After the directory was restored from a backup: leaves out the numbers that may have been given out since. In the regions
 * they are tenants' still. Without a directory nothing is changed.
 */
export async function skipNumbers(scope: Scope): Promise<void> {
  const space = scope.space(nextNumber)
  const next = await space.get(['next'])
  if (next !== undefined) space.set(['next'], String(BigInt(next) + SKIPPED))
}

export class Directory {
  private readonly database: RegionDatabase
  private leased: { next: bigint; end: bigint } = { next: 0n, end: 0n }

  constructor(database: RegionDatabase) {
    this.database = database
  }

  /** A number that no tenant ever had or will have. Numbers leased and not used are lost. */
  async allocate(): Promise<TenantNumber> {
    while (this.leased.next === this.leased.end) {
      const next = await this.database.platform(async (scope) => {
        const space = scope.space(nextNumber)
        const first = BigInt((await space.get(['next'])) ?? '1')
        space.set(['next'], String(first + BigInt(LEASE)))
        return { value: first, commit: true }
      })
      // Another caller may have leased meanwhile: the later lease serves, the rest of the other is lost.
      this.leased = { next, end: next + BigInt(LEASE) }
    }
    return this.leased.next++ as TenantNumber
  }

  /** Leaves out what follows a number that is a tenant's, though the directory does not know it: it lost those that it gave out. */
  async skip(taken: TenantNumber): Promise<void> {
    const least = taken + SKIPPED
    await this.database.platform(async (scope) => {
      const space = scope.space(nextNumber)
      const isBefore = BigInt((await space.get(['next'])) ?? '1') < least
      if (isBefore) space.set(['next'], String(least))
      return { value: undefined, commit: isBefore }
    })
    if (this.leased.next < least) this.leased = { next: 0n, end: 0n }
  }

  /** Whose a slug is. */
  ownerOf(slug: string): Promise<TenantNumber | undefined> {
    return this.database.platform(async (scope) => ({
      value: parseTenantNumber((await scope.space(bySlug).get([slug])) ?? ''),
      commit: false,
    }))
  }

  /** Makes a slug this tenant's. @returns false when it is another's, or the tenant was erased. Repeatable. */
  claim(number: TenantNumber, entry: DirectoryEntry): Promise<boolean> {
    return this.database.platform(async (scope) => {
      const numbers = scope.space(nextNumber)
      const [owner, tombstone, next = '1'] = await Promise.all([
        scope.space(bySlug).get([entry.slug]),
        scope.space(erased).get([numberKey(number)]),
        numbers.get(['next']),
      ])
      if (tombstone !== undefined) return { value: false, commit: false }
      if (owner !== undefined) return { value: owner === String(number), commit: false }
      // It was given out by this directory as it was before it lost its data.
      if (number >= BigInt(next)) numbers.set(['next'], String(number + SKIPPED))
      scope.space(bySlug).set([entry.slug], String(number))
      scope.space(byNumber).set([numberKey(number)], entry)
      return { value: true, commit: true }
    })
  }

  /** Which region a tenant lives in, or lived in until it was erased. */
  locate(number: TenantNumber): Promise<{ region: string; erased: boolean } | undefined> {
    return this.database.platform(async (scope) => {
      const [live, tombstone] = await Promise.all([
        scope.space(byNumber).get([numberKey(number)]),
        scope.space(erased).get([numberKey(number)]),
      ])
      const region = (live ?? tombstone)?.region
      return {
        value: region === undefined ? undefined : { region, erased: live === undefined },
        commit: false,
      }
    })
  }

  /** How a region's tenants stand here, in their order. */
  standingOf(numbers: ReadonlyArray<TenantNumber>, region: string): Promise<ReadonlyArray<Standing>> {
    const standingIn = async (scope: Scope, number: TenantNumber): Promise<Standing> => {
      const [live, tombstone] = await Promise.all([
        scope.space(byNumber).get([numberKey(number)]),
        scope.space(erased).get([numberKey(number)]),
      ])
      const known = live ?? tombstone
      if (known === undefined) return 'unknown'
      if (known.region !== region) return 'elsewhere'
      return live === undefined ? 'erased' : 'here'
    }
    return this.database.platform(async (scope) => ({
      value: await Promise.all(numbers.map((number) => standingIn(scope, number))),
      commit: false,
    }))
  }

  /** Whose a domain is. */
  async ownerOfDomain(domain: string): Promise<TenantNumber | undefined> {
    return (await this.holderOfDomain(domain))?.number
  }

  /** Whose a domain is, and by which of its records. */
  holderOfDomain(domain: string): Promise<{ number: TenantNumber; id: string } | undefined> {
    return this.database.platform(async (scope) => {
      const held = await scope.space(byDomain).get([domain])
      const number = parseTenantNumber(held?.number ?? '')
      const value = held === undefined || number === undefined ? undefined : { number, id: held.id }
      return { value, commit: false }
    })
  }

  /** @returns false when it is another tenant's, or the tenant was erased. Repeatable; the newer record holds it. */
  claimDomain(number: TenantNumber, domain: string, id: string): Promise<boolean> {
    return this.database.platform(async (scope) => {
      const [owner, tombstone] = await Promise.all([
        scope.space(byDomain).get([domain]),
        scope.space(erased).get([numberKey(number)]),
      ])
      if (tombstone !== undefined) return { value: false, commit: false }
      if (owner !== undefined && owner.number !== String(number)) return { value: false, commit: false }
      scope.space(byDomain).set([domain], { number: String(number), id })
      scope.space(domainsOf).set([numberKey(number), domain], 1)
      return { value: true, commit: true }
    })
  }

  /** Frees a domain, unless another record of the tenant's holds it by now. Repeatable. */
  releaseDomain(number: TenantNumber, domain: string, id: string): Promise<void> {
    return this.database.platform(async (scope) => {
      const owner = await scope.space(byDomain).get([domain])
      if (owner?.number !== String(number) || owner.id !== id) return { value: undefined, commit: false }
      scope.space(byDomain).clear([domain])
      scope.space(domainsOf).clear([numberKey(number), domain])
      return { value: undefined, commit: true }
    })
  }

  /** Tenants whose slug begins so, in the order of their slugs. */
  search(
    prefix: string,
    limit: number,
    after: string | undefined,
  ): Promise<Page<[slug: string], { number: TenantNumber; region: string }>> {
    return this.database.platform(async (scope) => {
      const { entries, more } = await scope.space(bySlug).page({
        ...{ limit, after: after === undefined ? undefined : ([after] as [string]) },
        ...{ from: [prefix], to: [`${prefix}\uffff`] },
      })
      const found = entries.flatMap(([slug, text]) => {
        const number = parseTenantNumber(text)
        return number === undefined ? [] : [{ slug, number }]
      })
      const places = await Promise.all(
        found.map(({ number }) => scope.space(byNumber).get([numberKey(number)])),
      )
      const tenants = found.flatMap(({ slug, number }, i) => {
        const region = places[i]?.region
        return region === undefined ? [] : [[slug, { number, region }] as const]
      })
      return { value: { entries: tenants, more }, commit: false }
    })
  }

  /** Frees an erased tenant's slug and domains, and keeps its number from ever being used again. Repeatable. */
  async release(number: TenantNumber, region: string): Promise<void> {
    while (await this.releaseSome(number, region));
  }

  /** From the first time on it claims no more. @returns whether it has more domains */
  private releaseSome(number: TenantNumber, region: string): Promise<boolean> {
    return this.database.platform(async (scope) => {
      const key: [Buffer] = [numberKey(number)]
      const entry = await scope.space(byNumber).get(key)
      if (entry !== undefined) {
        const owner = await scope.space(bySlug).get([entry.slug])
        if (owner === String(number)) scope.space(bySlug).clear([entry.slug])
        scope.space(byNumber).clear(key)
      }
      const { entries, more } = await scope.space(domainsOf).page({ under: key, limit: FREED_AT_A_TIME })
      for (const [[, domain]] of entries) {
        scope.space(byDomain).clear([domain])
        scope.space(domainsOf).clear([key[0], domain])
      }
      scope.space(erased).set(key, { region })
      return { value: more, commit: true }
    })
  }

  /** In the order of their numbers. */
  async list(
    limit: number,
    after: TenantNumber | undefined,
  ): Promise<{ entries: ReadonlyArray<readonly [TenantNumber, DirectoryEntry]>; more: boolean }> {
    const { entries, more } = await this.database.platform(async (scope) => ({
      value: await scope.space(byNumber).page({ limit, after: after && [numberKey(after)] }),
      commit: false,
    }))
    return { entries: entries.map(([[key], entry]) => [numberOfKey(key), entry]), more }
  }
}

/** A tenant number as it travels in JSON. */
export const numberSchema = z.string().transform((text, context) => {
  const number = parseTenantNumber(text)
  if (number !== undefined) return number
  context.addIssue({ code: 'custom', message: 'is not a tenant number' })
  return z.NEVER
})
