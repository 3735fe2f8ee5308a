// Retry-After (RFC 9110 section 10.2.3): seconds, or a date in any of the three forms that there are (section 5.6.7).

/** Of C's asctime(): it names no time zone, and is in UTC as the others are. */
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}$/
const NAMED_DAY = /^[A-Z][a-z]{2,8},/

/** @returns milliseconds from now, never negative; undefined for what is neither */
export function retryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  const given = text?.trim() ?? ''
  if (/^\d{1,9}$/.test(given)) return Number(given) * 1_000
  const isAsctime = ASCTIME.test(given)
  if (!isAsctime && !NAMED_DAY.test(given)) return undefined
  const atMs = Date.parse(isAsctime ? `${given} GMT` : given)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}
