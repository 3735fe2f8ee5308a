// Making a tenant: a saga over two regions in which every step is repeatable.
//
//   control   reserve a number (or find the one that this Idempotency-Key already has)
//   home      provision: everything the tenant has, in one commit; nobody is let in
//   control   claim the slug for the number: the one point at which two tenants could collide
//   home      activate
//
// Name and owner go to the home region alone. A crash after the second step leaves a pointer there, from which the
// home finishes by itself: it claims the slug, then activates, or gives up where the slug is another's.
import { createHmac } from 'node:crypto'
import { Problem } from '../../shared/problems.ts'
import { parseTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { expiryHour } from '../jobs/expiry.ts'
import { jsonSpace } from '../storage/space.ts'
import type { Maker, ProvisionedTenant, TenantIntent } from '../tenancy/lifecycle.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'
import type { Directory } from './directory.ts'

/** The first keys what is written; what an earlier one keyed is found all the same. */
export type DigestKeys = readonly [Buffer, ...Buffer[]]

/** An operator's request that was here before: keyed digests, so that nothing of a tenant can be read from it. */
interface RequestRecord {
  number: string
  fingerprint: string
  expiresAt: number
}

/** What a request is known by, under one key. */
interface RequestIdentity {
  key: [digest: Buffer]
  fingerprint: string
}

const requests = jsonSpace<[digest: Buffer], RequestRecord>('request')
/** What expires when, so that a sweep reads only what is due. */
const requestExpiry = jsonSpace<[hourMs: number, digest: Buffer], 1>('request-expiry')
const SWEEP_PAGE = 200
const REQUEST_TTL_MS = 24 * 60 * 60 * 1000

export interface Provisioning extends Maker {
  idempotencyKey: string | undefined
  region: string
  intent: TenantIntent
}

export class TenantProvisioner {
  private readonly database: RegionDatabase
  private readonly directory: Directory
  private readonly callsTo: (region: string) => Calls
  private readonly digestKeys: DigestKeys
  private readonly now: () => number

  /** @param digestKeys key the digests of operators' requests */
  constructor(
    database: RegionDatabase,
    directory: Directory,
    callsTo: (region: string) => Calls,
    digestKeys: DigestKeys,
    now: () => number,
  ) {
    this.database = database
    this.directory = directory
    this.callsTo = callsTo
    this.digestKeys = digestKeys
    this.now = now
  }

  /** @throws {Problem} `slug_taken`, `idempotency_key_reuse`, `region_unavailable` */
  async make(request: Provisioning): Promise<ProvisionedTenant & { replayed: boolean }> {
    const { region, intent, operatorId, requestId, publicOrigin } = request
    const { number, replayed } = await this.reserve(request)
    if ((await this.directory.locate(number))?.erased) {
      throw new Problem(
        'conflict',
        'The tenant that this request made was erased. Use a new Idempotency-Key.',
      )
    }
    const owner = await this.directory.ownerOf(intent.slug)
    if (owner !== undefined && owner !== number) throw slugTaken(intent.slug)
    const home = this.callsTo(region)
    const made = await home.provision({ number, intent, by: { operatorId, requestId, publicOrigin } })
    if (!(await this.directory.claim(number, { slug: intent.slug, region }))) {
      await home.abandon({ number })
      throw slugTaken(intent.slug)
    }
    await home.activate({ number })
    return { ...made, replayed }
  }

  private async reserve(request: Provisioning): Promise<{ number: TenantNumber; replayed: boolean }> {
    const fresh = await this.directory.allocate()
    const { operatorId, idempotencyKey, region, intent } = request
    if (idempotencyKey === undefined) return { number: fresh, replayed: false }
    const identify = (by: Buffer): RequestIdentity => ({
      key: [digest(by, 'key', operatorId, idempotencyKey).subarray(0, 16)],
      fingerprint: digest(by, 'body', JSON.stringify([region, intent])).toString('base64url'),
    })
    const [current, ...former] = this.digestKeys
    const own = identify(current)
    const identities = [own, ...former.map(identify)]
    const nowMs = this.now()
    return this.database.platform(async (scope) => {
      const records = await Promise.all(identities.map(({ key }) => scope.space(requests).get(key)))
      const at = records.findIndex((record) => record !== undefined && record.expiresAt > nowMs)
      const known = records[at]
      const number = parseTenantNumber(known?.number ?? '')
      if (known === undefined || number === undefined) {
        const { key, fingerprint } = own
        const expiresAt = nowMs + REQUEST_TTL_MS
        scope.space(requests).set(key, { number: String(fresh), fingerprint, expiresAt })
        scope.space(requestExpiry).set([expiryHour(expiresAt), key[0]], 1)
        return { value: { number: fresh, replayed: false }, commit: true }
      }
      if (known.fingerprint !== identities[at]?.fingerprint) {
        throw new Problem('idempotency_key_reuse', 'Use a new Idempotency-Key for a new request.')
      }
      return { value: { number, replayed: number !== fresh }, commit: false }
    })
  }

  /** Forgets operators' requests that are a day old. */
  async sweep(): Promise<void> {
    for (let more = true; more; ) {
      more = await this.database.platform(async (scope) => {
        const nowMs = this.now()
        const { entries, more } = await scope.space(requestExpiry).page({ limit: SWEEP_PAGE })
        const due = entries.filter(([[hourMs]]) => hourMs <= nowMs)
        const records = await Promise.all(due.map(([[, digest]]) => scope.space(requests).get([digest])))
        for (const [i, [key]] of due.entries()) {
          // One that was renewed has another entry, at a later hour.
          if ((records[i]?.expiresAt ?? 0) <= nowMs) scope.space(requests).clear([key[1]])
          scope.space(requestExpiry).clear(key)
        }
        return { value: more && due.length === entries.length, commit: due.length > 0 }
      })
    }
  }
}

const digest = (by: Buffer, ...parts: ReadonlyArray<string>): Buffer =>
  createHmac('sha256', by).update(JSON.stringify(parts)).digest()

const slugTaken = (slug: string): Problem =>
  new Problem('slug_taken', `Another organisation has the slug ${slug}.`)
