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
  const announced = headers.get('content-length')
  if (Number(announced) > MAX_BODY_BYTES) throw tooLarge()
  // The runtime reads no further than was announced, and gathers it for a fraction of what a reader costs.
  const isBounded = announced !== undefined && /^\d+$/.test(announced) && !headers.has('transfer-encoding')
  if (isBounded) return new Uint8Array(await request.arrayBuffer().catch(endedEarly))
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await reader.read().catch(endedEarly)
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

const endedEarly = (): never => {
  throw new Problem('malformed_request', 'The body ended before its announced length.')
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
