// The edge's entry on machines of one's own: worker.ts, behind proxies that are trusted to say where a request came from. On
// Cloudflare nobody stands before the edge, and its bundle has nothing of this.
import { env } from 'cloudflare:workers'
import { clientBehind, readBlocks, withoutPort } from './forward/trusted_proxies.ts'
import worker, { TenantLimiter } from './worker.ts'

export { TenantLimiter }

const trusted = readBlocks(env.TRUSTED_PROXIES)

export default {
  fetch(request) {
    const peer = request.cf as { clientIp?: unknown } | undefined
    if (trusted.length > 0 && typeof peer?.clientIp === 'string') {
      const address = clientBehind(
        withoutPort(peer.clientIp),
        request.headers.get('x-forwarded-for'),
        trusted,
      )
      const clientIp = address.includes(':') ? `[${address}]:0` : `${address}:0`
      // Where all of the edge reads it. A request made anew would not end with its client's connection.
      Object.defineProperty(request, 'cf', { value: { ...peer, clientIp } })
    }
    return worker.fetch(request)
  },
} satisfies ExportedHandler
