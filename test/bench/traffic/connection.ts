// One connection of HTTP/1.1 on a plain socket, one request at a time: as cheap as a client can be that still knows when
// its answer is whole, because on a small machine it takes its processor time from what it measures.
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** Status line and headers. */
  head: string
}

/** Told the answer; undefined when the connection broke before it was whole. */
export type Answered = (answer: Answer | undefined) => void

/** An answer without a length ends so. No JSON of ours holds a line break. */
const LAST_CHUNK = '\r\n0\r\n\r\n'

export class Connection {
  private readonly socket: Socket
  private answered: Answered | undefined
  private unread: Buffer | undefined
  private head: string | undefined
  /** Bytes of the body that are still to come; undefined where the answer says none. */
  private left: number | undefined
  private tail = ''

  /** @param onClose told once, whether or not anything was under way */
  constructor(origin: URL, onClose: (connection: Connection) => void) {
    this.socket = connect({ host: origin.hostname, port: Number(origin.port), noDelay: true })
    this.socket.on('data', (chunk: Buffer) => this.read(chunk))
    // `close` follows, and says it.
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      onClose(this)
      this.finish(undefined)
    })
  }

  ask(bytes: Buffer, answered: Answered): void {
    this.answered = answered
    this.socket.write(bytes)
  }

  close(): void {
    this.socket.destroy()
  }

  private read(chunk: Buffer): void {
    if (this.head !== undefined) {
      this.readBody(chunk)
      return
    }
    const received = this.unread === undefined ? chunk : Buffer.concat([this.unread, chunk])
    const end = received.indexOf('\r\n\r\n')
    if (end < 0) {
      this.unread = received
      return
    }
    const head = received.toString('latin1', 0, end)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    this.head = head
    this.unread = undefined
    this.left = head.startsWith('204', 9) ? 0 : length === undefined ? undefined : Number(length)
    // So that an empty body's last chunk looks like any other's.
    this.tail = '\r\n'
    this.readBody(received.subarray(end + 4))
  }

  private readBody(bytes: Buffer): void {
    if (this.left !== undefined) this.left -= bytes.length
    else
      this.tail = (this.tail + bytes.subarray(-LAST_CHUNK.length).toString('latin1')).slice(
        -LAST_CHUNK.length,
      )
    const { head } = this
    if (head === undefined || ((this.left ?? 1) > 0 && this.tail !== LAST_CHUNK)) return
    this.head = undefined
    this.tail = ''
    this.finish({ status: Number(head.slice(9, 12)), head })
  }

  private finish(answer: Answer | undefined): void {
    const { answered } = this
    this.answered = undefined
    answered?.(answer)
  }
}

/** A request as it goes over the wire. */
export function requestBytes(
  origin: URL,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Buffer {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${origin.host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== undefined) lines.push(`content-length: ${Buffer.byteLength(body)}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`)
}
