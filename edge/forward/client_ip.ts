// Where a request came from, for audit and throttling. Only from what the runtime says, never from the client:
// our own workerd tells the peer in `cf` (a client can't set it), Cloudflare sets the header itself.

interface Peer {
  /** `192.0.2.1:50000` or `[2001:db8::1]:50000` */
  clientIp?: unknown
}

export function clientIp(request: Request): string | undefined {
  const peer = (request.cf as Peer | undefined)?.clientIp
  if (typeof peer === 'string') return peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return request.headers.get('cf-connecting-ip') ?? undefined
}
