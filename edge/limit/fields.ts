// `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11, as structured fields (RFC 9651): lists
// of strings with parameters. `q` units in `w` seconds is the sustained rate, with `q` the burst; `r` is what may still
// be asked, `t` in how many seconds there is more.
import { type Limit, POLICIES, type Policy } from '../../shared/limits.ts'

/** Of one policy, after this request. */
export interface Standing {
  policy: Policy
  /** Units; whole, never more than this isolate can admit. */
  left: number
  /** Undefined where more may be had at once, of others than this isolate. */
  retryAfterMs: number | undefined
}

export const RATE_LIMIT = 'ratelimit'
export const RATE_LIMIT_POLICY = 'ratelimit-policy'
/** The largest integer of a structured field. */
const LARGEST = 999_999_999_999_999

export const policyField = (limits: Readonly<Partial<Record<Policy, Limit>>>): string =>
  POLICIES.flatMap((policy) => {
    const limit = limits[policy]
    return limit === undefined ? [] : [`"${policy}"${quotaOf(limit)}`]
  }).join(', ')

/** In a window of whole seconds, and so never at more than the rate. */
function quotaOf({ rate, burst }: Limit): string {
  const units = whole(burst)
  return `;q=${units};w=${Math.max(1, Math.ceil(units / rate - ROUNDING))}`
}

/** Far more than a double's. */
const ROUNDING = 1e-9

export const rateLimitField = ({ policy, left, retryAfterMs }: Standing): string =>
  `"${policy}";r=${whole(left)}${left < 1 && retryAfterMs ? `;t=${retryAfterSeconds(retryAfterMs)}` : ''}`

/** The policy that will be the first to refuse. */
export const mostRestrictive = (standings: readonly [Standing, ...Standing[]]): Standing =>
  standings.reduce((least, each) => (each.left < least.left ? each : least))

/** For `Retry-After` (RFC 9110 section 10.2.3): whole seconds, never too early. */
export const retryAfterSeconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000))

const whole = (value: number): number => Math.min(Math.max(0, Math.floor(value)), LARGEST)
