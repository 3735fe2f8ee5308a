// Which tenant the host of a request names: `<slug>.<base>`, or a domain that a tenant has shown to be its own. The
// platform's own host names nobody, and neither does an address.
import { isDomain, isWithin } from '../../shared/domain.ts'
import type { TenantName } from '../../shared/edge_calls.ts'
import { Problem } from '../../shared/problems.ts'
import { SLUG, type TenantNumber } from '../../shared/tenant.ts'
import type { RequestContext } from '../context.ts'
import type { EdgeConfig } from '../env.ts'
import { Lru } from '../lru.ts'
import type { TenantDirectory } from './tenant_directory.ts'

/** `no_such_tenant`: below the base domain, and no tenant's. Undefined: it names nobody. */
export type HostTenant = TenantNumber | 'no_such_tenant' | 'unavailable' | undefined

type Config = Pick<EdgeConfig, 'publicOrigin' | 'baseDomain'>

/** `no_tenant`: below the base domain, and nothing that a slug can be. */
export type HostName = TenantName | 'no_tenant' | undefined

/** @param hostname as a URL has it. With the dot at its end that DNS allows it is the same name. */
export function tenantNamedBy(hostname: string, { publicOrigin, baseDomain }: Config): HostName {
  const host = hostname.replace(/\.$/, '')
  if (host === baseDomain || host === new URL(publicOrigin).hostname) return undefined
  if (baseDomain !== undefined && isWithin(host, baseDomain)) {
    const slug = host.slice(0, -baseDomain.length - 1)
    return SLUG.test(slug) ? { slug } : 'no_tenant'
  }
  return isDomain(host) ? { domain: host } : undefined
}

const AUTHORITY = /^[a-z]+:\/\/([^/?#]*)/i
/** RFC 9110 section 7.2, as clients send it: a name in ASCII or an address, and a port. */
const HOST = /^(?:[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])(?::\d{0,5})?$/i
/** A name has at most 253 characters (RFC 1035 section 2.3.4), with its last dot and a port. It is remembered, whoever sent it. */
const LONGEST_HOST = 253 + 1 + 6
const isHost = (text: string): boolean => text.length <= LONGEST_HOST && HOST.test(text)
/** An isolate is asked for few hosts, and for one of them nearly always. */
const HOSTS = 1_000

/** @throws {Problem} `malformed_request` */
export type NameOf = (asked: Pick<RequestContext, 'url' | 'headers'>) => HostName

/**
 * For one isolate: keeps what the hosts that it is asked for name. The runtime puts `Host` into the URL as it came, so
 * neither is a host, nor the URL one, before this has looked at both.
 */
export function hostNames(config: Config): NameOf {
  const names = new Lru<string, { name: HostName }>(HOSTS)
  return function nameOf({ url, headers }) {
    const authority = AUTHORITY.exec(url)?.[1] ?? ''
    const known = names.get(authority)
    const host = headers.get('host') ?? authority
    const isKnown = known !== undefined || (isHost(authority) && URL.canParse(url))
    if (!isHost(host) || !isKnown) {
      throw new Problem('malformed_request', 'The Host is no name or address that a request can be for.')
    }
    if (known !== undefined) return known.name
    const name = tenantNamedBy(new URL(url).hostname, config)
    // The header's own text where it says the same: a part of the URL would keep the whole of it.
    names.set(host === authority ? host : authority, { name })
    return name
  }
}

export async function tenantAt(
  { named: name, clientIp }: Pick<RequestContext, 'named' | 'clientIp'>,
  directory: TenantDirectory,
): Promise<HostTenant> {
  if (name === undefined) return undefined
  if (name === 'no_tenant') return 'no_such_tenant'
  const place = await directory.placeOf(name, clientIp)
  if (place.outcome === 'unavailable') return 'unavailable'
  if (place.outcome === 'had') return place.value.number
  // A domain that nobody has shown to be theirs may be the platform's own by another name.
  return 'slug' in name ? 'no_such_tenant' : undefined
}
