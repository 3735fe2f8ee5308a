// Connections to hosts that tenants have named. The name is looked up once, all of its addresses are checked, and what is
// connected to is one of those very addresses; what the socket says it is connected to is checked again, before a byte
// is sent. So a name that changes between check and connection changes nothing.
import { promises as dns } from 'node:dns'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'
import { isPublicAddress, literalAddress } from './address.ts'
import type { DevelopmentHosts } from './target.ts'

/** Looking up and connecting. Below the time of a whole request, so that it is told apart from a silent receiver. */
const CONNECT_MS = 8_000
const TLS_MS = 5_000
const LOOKUP_MS = 2_000
const MAX_ADDRESSES = 4

/** One answer for what does not exist, refuses, keeps silent, or is not to be reached: nobody maps a network by it. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** No TLS, or not the host that was meant. */
export class TlsFailed extends Error {
  override readonly name = 'TlsFailed'
}

/** All addresses of a name. */
export type LookUp = (name: string) => Promise<ReadonlyArray<string>>

export interface ConnectOptions {
  development: DevelopmentHosts
  lookUp?: LookUp
  /** Tells whether a connection may be used, by the address at its other end. */
  isAllowed?: (address: string) => boolean
}

/** By DNS alone: neither the hosts file nor search domains of this machine are anybody's business. */
function dnsLookUp(): LookUp {
  const resolver = new dns.Resolver({ timeout: LOOKUP_MS, tries: 2 })
  return async (name) => {
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    return found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
  }
}

/** As undici's dispatchers take it. */
export function guardedConnector({
  development,
  lookUp = dnsLookUp(),
  isAllowed = isPublicAddress,
}: ConnectOptions): buildConnector.connector {
  async function addressesOf(hostname: string): Promise<ReadonlyArray<string>> {
    const literal = literalAddress(hostname)
    if (development.has(hostname)) {
      if (literal !== undefined) return [literal]
      return (await dns.lookup(hostname, { all: true })).map(({ address }) => address)
    }
    const addresses = literal === undefined ? await lookUp(hostname) : [literal]
    // One that is not public is enough: an honest name has none.
    if (addresses.length === 0 || !addresses.every(isAllowed)) throw new Unreachable()
    return addresses.slice(0, MAX_ADDRESSES)
  }

  async function open(hostname: string, port: number): Promise<Socket> {
    const deadline = performance.now() + CONNECT_MS
    const addresses = await within(CONNECT_MS, addressesOf(hostname))
    for (const [i, address] of addresses.entries()) {
      const withinMs = (deadline - performance.now()) / (addresses.length - i)
      const socket = await tcpTo(address, port, withinMs)
      if (socket === undefined) continue
      if (development.has(hostname) || isAllowed(socket.remoteAddress ?? '')) return socket
      socket.destroy()
    }
    throw new Unreachable()
  }

  async function connected(options: buildConnector.Options): Promise<Socket | TLSSocket> {
    const { hostname, protocol, port } = options
    const isTls = protocol === 'https:'
    let socket: Socket
    try {
      socket = await open(hostname, Number(port) || (isTls ? 443 : 80))
    } catch {
      throw new Unreachable()
    }
    socket.setNoDelay(true)
    return isTls ? tlsOver(socket, hostname) : socket
  }

  return (options, callback) => {
    connected(options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error instanceof Error ? error : new Unreachable(), null),
    )
  }
}

/** @throws {Unreachable} when it has not ended by then: what becomes of it is nobody's business any more */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Unreachable()), ms)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** @returns undefined when there is no connection in time */
function tcpTo(address: string, port: number, withinMs: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: address, port })
    const timer = setTimeout(() => socket.destroy(new Unreachable()), Math.max(1, withinMs))
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      // Whoever takes it over listens as well; until then nobody's error must end the process.
      socket.on('error', () => {})
      resolve(socket)
    })
    socket.once('error', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
}

function tlsOver(socket: Socket, hostname: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const literal = literalAddress(hostname)
    const tls = connectTls({
      socket,
      host: literal ?? hostname,
      ...(literal === undefined && { servername: hostname }),
      ALPNProtocols: ['http/1.1'],
    })
    const timer = setTimeout(() => tls.destroy(new TlsFailed()), TLS_MS)
    tls.once('secureConnect', () => {
      clearTimeout(timer)
      tls.removeListener('error', failed)
      tls.on('error', () => {})
      resolve(tls)
    })
    const failed = () => {
      clearTimeout(timer)
      socket.destroy()
      reject(new TlsFailed())
    }
    tls.once('error', failed)
    tls.once('close', failed)
  })
}
