// Ports on loopback. Regions must know each other's before they start, so a free one is found by listening once.
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

export const HOST = '127.0.0.1'

/**
 * The port itself, or any free one for 0; undefined when it is taken. A free one is chosen below those that the kernel
 * gives to outgoing connections: otherwise one of those could take it while its region starts again.
 */
export async function claimable(port: number): Promise<number | undefined> {
  if (port !== 0) return (await canListen(port)) ? port : undefined
  for (;;) {
    const chosen = randomInt(LOWEST_CHOSEN, LOWEST_EPHEMERAL)
    if (await canListen(chosen)) return chosen
  }
}

const LOWEST_CHOSEN = 10_240
/** Where Linux begins with outgoing connections (`ip_local_port_range`); others begin higher. */
const LOWEST_EPHEMERAL = 32_768

const canListen = (port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    probe.listen({ port, host: HOST, exclusive: true }, () => {
      probe.close(() => resolve(true))
    })
  })
