// Buffers a request's body, so that it can be sent again. Counts as it reads: a chunked body announces no length.
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'
import type { RequestContext } from '../context.ts'

const METHODS_WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** @throws {Problem} `body_too_large`; `malformed_request` for a body that ends early. */
export async function readBody({
  request,
  method,
  headers,
}: RequestContext): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (METHODS_WITHOUT_BODY.has(method) || request.body === null) return undefined
  if (Number(headers.get('content-length')) > MAX_BODY_BYTES) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Problem('malformed_request', 'The body ended before its announced length.')
    })
    if (done) break
    length += value.length
    if (length > MAX_BODY_BYTES) {
      await reader.cancel()
      throw tooLarge()
    }
    chunks.push(value)
  }
  return join(chunks, length)
}

const tooLarge = () => new Problem('body_too_large', `A body has at most ${MAX_BODY_BYTES} bytes.`)

function join(chunks: ReadonlyArray<Uint8Array>, length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}
