// What a page may load and where it may send to (Content Security Policy 3).

/**
 * This host's own. An https logo is the one thing that may come from elsewhere; one that is no URL, which regions took
 * once, is none.
 */
export function contentPolicy(nonce: string, logoUrl: string | null | undefined): string {
  const logo = logoUrl?.startsWith('https:') && URL.canParse(logoUrl) ? ` ${new URL(logoUrl).origin}` : ''
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    `img-src 'self' data:${logo}`,
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}
