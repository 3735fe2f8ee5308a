// Distance: a TCP relay that holds every byte back for half a round trip, each way, as a far-away network does. Bytes keep
// their order, and as many as one likes are on the way at the same time.
import { connect, createServer, type Socket } from 'node:net'

export interface FarAway {
  /** The origin, at this distance. */
  url: string
  close(): void
}

export async function farAway(origin: string, roundTripMs: number): Promise<FarAway> {
  const { hostname, port } = new URL(origin)
  const sockets = new Set<Socket>()
  const late = (from: Socket, to: Socket) => {
    const later = (what: () => void) => setTimeout(what, roundTripMs / 2)
    from.on('data', (bytes) => later(() => to.writable && to.write(bytes)))
    from.on('end', () => later(() => to.end()))
    from.on('error', () => to.destroy())
    from.on('close', () => sockets.delete(from))
    sockets.add(from)
  }
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: hostname, port: Number(port), noDelay: true })
    late(near, far)
    late(far, near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the relay has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
