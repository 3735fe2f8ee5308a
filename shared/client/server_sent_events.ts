// Server-sent events (WHATWG HTML section 9.2), as they come out of a body. Pure but for the reading.

export interface ServerSentEvent {
  id: string | undefined
  event: string
  data: string
}

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let waiting = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      // An event that was cut off is none.
      if (done) return
      waiting += decoder.decode(value, { stream: true })
      const blocks = waiting.split(/\r\n\r\n|\n\n|\r\r/)
      waiting = blocks.pop() ?? ''
      for (const block of blocks) {
        const event = parseEvent(block)
        if (event !== undefined) yield event
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** @returns undefined for what says nothing, such as a comment that keeps the connection open. */
export function parseEvent(block: string): ServerSentEvent | undefined {
  const data: string[] = []
  let id: string | undefined
  let event = 'message'
  for (const line of block.split(/\r\n|\n|\r/)) {
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'event') event = value
  }
  return data.length === 0 ? undefined : { id, event, data: data.join('\n') }
}
