// The console's few static files, served by the edge itself: style, htmx, and a script of our own. Their names carry a
// digest, so that a browser keeps them for good and never has an old one with a new page.
import htmx from 'htmx.org/dist/htmx.min.js' with { type: 'text' }
import { sha256, toBase64url } from '../../shared/bytes.ts'
import style from './static/console.css' with { type: 'text' }
import script from './static/console.js' with { type: 'text' }

/** No slug begins with `-`. */
export const STATIC = '/admin/-'

/** The platform's mark: it stands in a browser's tab, light or dark. */
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b57d0"/><path d="M22 11.5a8 8 0 1 0 0 9" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round"/></svg>'

interface StaticFile {
  name: string
  type: string
  text: string
}

const FILES: ReadonlyArray<StaticFile> = [
  { name: 'console.css', type: 'text/css; charset=utf-8', text: style },
  { name: 'console.js', type: 'text/javascript; charset=utf-8', text: script },
  { name: 'icon.svg', type: 'image/svg+xml', text: ICON },
  { name: 'htmx.js', type: 'text/javascript; charset=utf-8', text: htmx },
]

export interface Assets {
  style: string
  script: string
  icon: string
  htmx: string
}

interface Served {
  type: string
  text: string
  packed: ArrayBuffer
}

/** Once an isolate. @returns where pages find the files, and what answers there */
export async function staticFiles(): Promise<{
  assets: Assets
  serve: (path: string, request: Request) => Response | undefined
}> {
  const served = new Map<string, Served>()
  const paths: Record<string, string> = {}
  for (const { name, type, text } of FILES) {
    const digest = toBase64url((await sha256(text)).subarray(0, 9))
    const path = `${STATIC}/${digest}/${name}`
    const packed = await new Response(
      new Blob([text]).stream().pipeThrough(new CompressionStream('gzip')),
    ).arrayBuffer()
    served.set(path, { type, text, packed })
    paths[name] = path
  }
  return {
    assets: {
      style: paths['console.css'] ?? '',
      script: paths['console.js'] ?? '',
      icon: paths['icon.svg'] ?? '',
      htmx: paths['htmx.js'] ?? '',
    },
    serve(path, request) {
      const file = served.get(path)
      if (file === undefined) return undefined
      const headers = {
        'content-type': file.type,
        'cache-control': 'public, max-age=31536000, immutable',
        vary: 'accept-encoding',
      }
      if (!/\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')) {
        return new Response(file.text, { headers })
      }
      return new Response(file.packed, {
        headers: { ...headers, 'content-encoding': 'gzip' },
        encodeBody: 'manual',
      })
    },
  }
}
