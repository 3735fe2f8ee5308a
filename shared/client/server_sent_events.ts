// Server-sent events (WHATWG HTML section 9.2), as they come out of the chunks of a body.

export interface ServerSentEvent {
  id: string | undefined
  event: string
  /** Undefined where there is an id alone: that moves the reader's place, and tells of nothing. */
  data: string | undefined
}

export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder()
  let waiting = ''
  for await (const chunk of chunks) {
    waiting += decoder.decode(chunk, { stream: true })
    const blocks = waiting.split(/\r\n\r\n|\n\n|\r\r/)
    // An event that was cut off is none.
    waiting = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parseEvent(block)
      if (event !== undefined) yield event
    }
  }
}

/** @returns undefined for what says nothing, such as a comment that keeps the connection open. */
function parseEvent(block: string): ServerSentEvent | undefined {
  const lines: string[] = []
  let id: string | undefined
  let event = 'message'
  for (const line of block.split(/\r\n|\n|\r/)) {
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (field === 'data') lines.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'event') event = value
  }
  const data = lines.length === 0 ? undefined : lines.join('\n')
  return data === undefined && id === undefined ? undefined : { id, event, data }
}
