// The edge's entry on machines of one's own: worker.ts, behind proxies that are trusted to say where a request came from. On
// Cloudflare nobody stands before the edge, and its bundle has nothing of this. Nor may such a proxy gather what is streamed.
import { env } from 'cloudflare:workers'
import { clientBehind, readBlocks, withoutPort } from './forward/trusted_proxies.ts'
import worker, { TenantLimiter } from './worker.ts'

export { TenantLimiter }

const trusted = readBlocks(env.TRUSTED_PROXIES)

export default {
  async fetch(request) {
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
    const answer = await worker.fetch(request)
    // In nginx a tail would stay silent for ever. What the region says of it, an nginx before the region keeps for itself.
    if (answer.headers.get('content-type') === 'text/event-stream') {
      answer.headers.set('x-accel-buffering', 'no')
    }
    return answer
  },
} satisfies ExportedHandler
