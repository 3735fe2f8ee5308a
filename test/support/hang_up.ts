// A client that asks, and is gone before it was answered.
import { connect } from 'node:net'

/** @returns when its connection has been reset, `afterMs` after it asked */
export const hangUp = (origin: string, head: ReadonlyArray<string>, afterMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin)
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${head.join('\r\n')}\r\nHost: ${hostname}\r\n\r\n`)
      setTimeout(() => socket.resetAndDestroy(), afterMs)
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })
