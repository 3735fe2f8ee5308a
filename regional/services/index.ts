// Every tenant-aware service. To add one: a folder here, and a line below.
import { checkServices } from '../tenancy/check_services.ts'
import { type FindOperation, operationFinder } from '../tenancy/find_operation.ts'
import type { LinkAdmin, Mint, SignUrl } from '../tenancy/mint.ts'
import type { Service } from '../tenancy/service.ts'
import { adminLinks } from './admin-links/routes.ts'
import type { ModelAccess } from './agents/models.ts'
import { agents } from './agents/routes.ts'
import { apiKeys } from './api-keys/routes.ts'
import { audit } from './audit/routes.ts'
import type { DomainOptions } from './domains/check.ts'
import { domains } from './domains/routes.ts'
import { events } from './events/routes.ts'
import { identityProviders } from './identity-providers/routes.ts'
import { jobs } from './jobs/routes.ts'
import type { InvitationOptions } from './members/invitation_routes.ts'
import { members } from './members/routes.ts'
import { models } from './models/routes.ts'
import { projects } from './projects/routes.ts'
import { records } from './records/routes.ts'
import { sessions } from './sessions/routes.ts'
import { signedUrls } from './signed-urls/routes.ts'
import { tenant } from './tenant/routes.ts'
import { usage } from './usage/routes.ts'
import { type EndpointOptions, webhookEndpoints } from './webhook-endpoints/routes.ts'
import { type SourceOptions, webhookSources } from './webhook-sources/routes.ts'

export interface ServiceOptions {
  mint: Mint
  sign: SignUrl
  linkAdmin: LinkAdmin
  invitations: InvitationOptions
  domains: DomainOptions
  models: ModelAccess
  sources: SourceOptions
  endpoints: EndpointOptions
  /** Whether tenants may register OpenID issuers of this machine. */
  developmentIssuers: boolean
  /** Milliseconds since 1970. */
  now: () => number
}

/**
 * @param extra services beside the platform's own
 * @throws {RangeError} for what {@link checkServices} finds
 */
export function services(
  {
    mint,
    sign,
    linkAdmin,
    invitations,
    domains: domainOptions,
    models: modelAccess,
    sources: sourceOptions,
    endpoints: endpointOptions,
    developmentIssuers,
    now,
  }: ServiceOptions,
  extra: ReadonlyArray<Service> = [],
): ReadonlyArray<Service> {
  const all: Service[] = [
    tenant,
    apiKeys(mint),
    members(invitations),
    identityProviders(developmentIssuers, sourceOptions.seal),
    projects(() => all),
    records(now),
    agents(modelAccess),
    models(modelAccess.offered),
    events,
    audit,
    usage,
    jobs,
    adminLinks(linkAdmin),
    sessions,
    domains(domainOptions),
    webhookSources(sourceOptions, modelAccess),
    webhookEndpoints(endpointOptions),
    ...extra,
  ]
  all.push(signedUrls(sign, (method, path) => find(method, path)))
  const find: FindOperation = operationFinder(all)
  checkServices(all, find)
  return all
}
