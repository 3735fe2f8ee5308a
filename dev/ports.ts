// Ports on loopback. Regions must know each other's before they start, so a free one is found by listening once.
import { createServer } from 'node:net'

export const HOST = '127.0.0.1'

/** The port itself, or any free one for 0; undefined when it is taken. */
export function claimable(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined)
      else reject(error)
    })
    probe.listen({ port, host: HOST, exclusive: true }, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
    })
  })
}
