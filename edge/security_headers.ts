// Headers that keep a browser from reading more into an answer than it is (OWASP Secure Headers Project). What is
// answered here is data; a page that needs more says so itself, and keeps its own policy.

const ALWAYS = {
  'x-content-type-options': 'nosniff',
  // A signed URL must not travel on in a Referer.
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
}
/** RFC 6797. A browser ignores it over plain HTTP, and a developer's machine must not be pinned by it. */
const ALWAYS_BY_TLS = { ...ALWAYS, 'strict-transport-security': 'max-age=31536000' }

export const UNLESS_SAID: Readonly<Record<string, string>> = {
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

export const alwaysSaid = (publicOrigin: string): Readonly<Record<string, string>> =>
  publicOrigin.startsWith('https:') ? ALWAYS_BY_TLS : ALWAYS
