// A client that asks, and hangs up before the answer is over. It resets its connection: of one that is only closed an edge knows
// nothing until it has something to send.
import { connect } from 'node:net'

/** @returns what it was answered until then, `afterMs` after it asked */
export const hangUp = (origin: string, head: ReadonlyArray<string>, afterMs: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin)
    let answered = ''
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${head.join('\r\n')}\r\nHost: ${hostname}\r\n\r\n`)
      setTimeout(() => socket.resetAndDestroy(), afterMs)
    })
    socket.setEncoding('utf8').on('data', (text) => {
      answered += text
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answered))
  })
