// Credentials that a region has refused: revoked, expired or removed, and people who are no members. A request takes of its
// tenant's limits before any region looks at its credential, so whoever goes on with such a one could use them up. Here they
// are told the same again, but for a request now and then that finds out whether it still holds: only the region decides.
import { CREDENTIAL_REFUSED } from '../../shared/headers.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { PROBLEMS, type ProblemCode } from '../../shared/problems.ts'
import { Lru } from '../lru.ts'

/** Of one credential the region is asked no more often. */
const ASK_AGAIN_MS = 1_000
/** Whoever went on was refused anew since then. Whoever comes later may have become a member. */
const FORGET_MS = 3_000
const CAPACITY = 10_000
/** What was asked is refused, to somebody who is let in. */
const LET_IN = new Set([403, 409, 412, 422])
/** By an invitation whoever is refused everywhere else becomes a member, so its refusals are kept apart. */
const ACCEPT_PATH = '/v1/invitations/accept'

export class Refusals {
  private readonly known = new Lru<string, { code: ProblemCode; atMs: number; askedAtMs: number }>(CAPACITY)

  /** What a region said of the credential last; undefined where it is to be asked. */
  of(principal: TenantPrincipal, path: string, nowMs: number): ProblemCode | undefined {
    const refusal = this.known.size === 0 ? undefined : this.known.get(nameOf(principal, path))
    if (refusal === undefined || Math.abs(nowMs - refusal.atMs) > FORGET_MS) return undefined
    if (nowMs - refusal.askedAtMs < ASK_AGAIN_MS) return refusal.code
    refusal.askedAtMs = nowMs
    return undefined
  }

  /** From a region's answer. Where it finds nothing, or fails, it may not have looked at the credential. */
  learn(principal: TenantPrincipal, path: string, { status, headers }: Response, nowMs: number): void {
    const code = headers.get(CREDENTIAL_REFUSED)
    if (isCode(code)) this.known.set(nameOf(principal, path), { code, atMs: nowMs, askedAtMs: nowMs })
    else if ((status < 400 || LET_IN.has(status)) && this.known.size > 0) {
      this.known.delete(nameOf(principal, ACCEPT_PATH))
      this.known.delete(nameOf(principal, ''))
    }
  }
}

/** Of the one credential, not of all that its holder has: others of theirs may hold. Tokens that say the same are one. */
const nameOf = (principal: TenantPrincipal, path: string): string =>
  JSON.stringify({
    ...principal,
    tenant: String(principal.tenant),
    ...{ claimedTenant: 0, iat: 0, expiresAtMs: 0, begins: 0 },
    path: path === ACCEPT_PATH,
  })

/** A newer region may know others. */
const isCode = (text: string | null): text is ProblemCode => text !== null && Object.hasOwn(PROBLEMS, text)
