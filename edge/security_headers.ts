// Headers that keep a browser from reading more into an answer than it is (OWASP Secure Headers Project). What is
// answered here is data; a page that needs more says so itself, and keeps its own policy.

const ALWAYS = {
  'x-content-type-options': 'nosniff',
  // A signed URL must not travel on in a Referer.
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
}
const UNLESS_SAID = {
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}
/** RFC 6797. A browser ignores it over plain HTTP, and a developer's machine must not be pinned by it. */
const HSTS = 'max-age=31536000'

export function secure(headers: Headers, publicOrigin: string): void {
  for (const [name, value] of Object.entries(ALWAYS)) headers.set(name, value)
  for (const [name, value] of Object.entries(UNLESS_SAID)) if (!headers.has(name)) headers.set(name, value)
  if (publicOrigin.startsWith('https:')) headers.set('strict-transport-security', HSTS)
}
