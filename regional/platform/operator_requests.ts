// What operators asked of the control region, so that it is done once although it may come twice: with the client's own
// Idempotency-Key, or as the very same request, which an edge sends again when its answer got lost. Keyed digests, so
// that nothing of a tenant can be read from them.
import { createHmac } from 'node:crypto'
import type { OperatorPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { parseTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { expiryHour } from '../jobs/expiry.ts'
import { jsonSpace } from '../storage/space.ts'
import type { OperatorRequest } from '../tenancy/operator_request.ts'
import type { RegionDatabase, Scope } from '../tenancy/region_database.ts'
import type { Verified } from '../tenancy/verify.ts'

/** The first keys what is written; what an earlier one keyed is found all the same. */
export type DigestKeys = readonly [Buffer, ...Buffer[]]

export interface OnceAsked extends OperatorRequest {
  idempotencyKey: string | undefined
  /** Method and path, since a client's key holds for one. The tenants' own is the one without, as it always was. */
  route?: string
  /** All that was asked, as JSON. */
  content: unknown
}

interface RequestRecord {
  /** Of the tenant that it makes, where it makes one. */
  number?: string
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

/** Who asks, for the tenant's own audit trail. */
export const requestOf = ({ principal, requestId }: Verified<OperatorPrincipal>): OperatorRequest => ({
  operatorId: principal.operatorId,
  requestId,
})

export class OperatorRequests {
  private readonly database: RegionDatabase
  private readonly digestKeys: DigestKeys
  private readonly now: () => number

  constructor(database: RegionDatabase, digestKeys: DigestKeys, now: () => number) {
    this.database = database
    this.digestKeys = digestKeys
    this.now = now
  }

  /**
   * Remembers the request, in the transaction that carries it out.
   * @param number of the tenant that it is to make
   * @param refused a number with which it cannot be carried out: where it came with that, it is as if it had not been here
   * @returns undefined for one that has not been here; otherwise the number that it came with first
   * @throws {Problem} `idempotency_key_reuse` for another request under the same key
   */
  async before(
    scope: Scope,
    asked: OnceAsked,
    number?: TenantNumber,
    refused?: TenantNumber,
  ): Promise<{ number: TenantNumber | undefined } | undefined> {
    const [current, ...former] = this.digestKeys
    const own = identityOf(asked, current)
    const identities = [own, ...former.map((by) => identityOf(asked, by))]
    const nowMs = this.now()
    const records = await Promise.all(identities.map(({ key }) => scope.space(requests).get(key)))
    const at = records.findIndex((record) => record !== undefined && record.expiresAt > nowMs)
    const known = records[at]
    if (known !== undefined) {
      if (known.fingerprint !== identities[at]?.fingerprint) {
        throw new Problem('idempotency_key_reuse', 'Use a new Idempotency-Key for a new request.')
      }
      if (refused === undefined || known.number !== String(refused)) {
        return { number: parseTenantNumber(known.number ?? '') }
      }
    }
    const { key, fingerprint } = identities[at] ?? own
    const expiresAt = nowMs + REQUEST_TTL_MS
    const record = { fingerprint, expiresAt, ...(number !== undefined && { number: String(number) }) }
    scope.space(requests).set(key, record)
    scope.space(requestExpiry).set([expiryHour(expiresAt), key[0]], 1)
    return undefined
  }

  /** Forgets those that are a day old. */
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

function identityOf(
  { operatorId, requestId, idempotencyKey, route, content }: OnceAsked,
  by: Buffer,
): RequestIdentity {
  const known =
    idempotencyKey === undefined
      ? ['request', requestId]
      : ['key', operatorId, idempotencyKey, ...(route === undefined ? [] : [route])]
  return {
    key: [digest(by, ...known).subarray(0, 16)],
    fingerprint: digest(by, 'body', JSON.stringify(content)).toString('base64url'),
  }
}

const digest = (by: Buffer, ...parts: ReadonlyArray<string>): Buffer =>
  createHmac('sha256', by).update(JSON.stringify(parts)).digest()
