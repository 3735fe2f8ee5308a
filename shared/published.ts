// What is the same for everybody and changes with a release at most: written once, and known again by its digest (RFC 9110,
// sections 8.8.3 and 13.1.2).
import { sha256, toBase64url } from './bytes.ts'

/** For so long whoever has it need not ask again. */
const MAX_AGE_SECONDS = 60

export interface Published {
  text: string
  etag: string
}

export const publish = async (text: string): Promise<Published> => ({
  text,
  etag: `"${toBase64url((await sha256(text)).subarray(0, 12))}"`,
})

/** @param known the request's `If-None-Match`: whoever has it already is told so */
export function publishedJson({ text, etag }: Published, known: string | null | undefined): Response {
  const headers = {
    'content-type': 'application/json',
    'cache-control': `public, max-age=${MAX_AGE_SECONDS}`,
    etag,
  }
  const names = (known ?? '').split(',').map((name) => name.trim().replace(/^W\//, ''))
  return names.includes(etag) || names.includes('*')
    ? new Response(null, { status: 304, headers })
    : new Response(text, { headers })
}
