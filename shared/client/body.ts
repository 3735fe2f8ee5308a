// The body of an answer, as it comes. Every runtime has words of its own for a connection that broke (a TypeError in Node,
// any Error in workerd): here it is a ConnectionError, and so is one over which nothing comes any more.
import { ConnectionError, reasonOf } from './problem.ts'
import { after } from './timer.ts'

export interface Reading {
  /** The longest that nothing may come. */
  silenceMs: number
  /** When it is aborted, its reason is what is thrown. */
  signal?: AbortSignal | undefined
}

/** @throws {ConnectionError} when it breaks off or nothing comes for too long; and the signal's reason */
export async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  { silenceMs, signal }: Reading,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read(), silenceMs)
      if (done) return
      yield value
    }
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof ConnectionError) throw cause
    throw new ConnectionError(`the answer broke off: ${reasonOf(cause)}`, { cause })
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** The whole of it; undefined for none. @throws {ConnectionError} and the signal's reason */
export async function jsonOf(response: Response, reading: Reading): Promise<unknown> {
  if (response.body === null) return undefined
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunksOf(response.body, reading)) text += decoder.decode(chunk, { stream: true })
  return text === '' ? undefined : parse(text)
}

/**
 * JSON of the platform's: what a proxy says instead is none.
 * @throws {ConnectionError} for that
 */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ConnectionError('an answer that is not the platform’s', { cause })
  }
}

function unlessSilent<T>(coming: Promise<T>, silenceMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = after(silenceMs, () => reject(new ConnectionError(`nothing came for ${silenceMs} ms`)))
    void coming.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
