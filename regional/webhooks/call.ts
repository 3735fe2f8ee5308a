// Calls for the tenant's deliveries, with a commit: in its own process at once, and by its queue whatever happens.
import { callStanding } from '../jobs/standing.ts'
import type { TenantScope } from '../tenancy/region_database.ts'

/** The standing work of sending webhooks. Stored, so it never changes. */
export const WEBHOOKS = 'webhooks.deliver'

export const callWebhooks = (scope: TenantScope): void => callStanding(scope, WEBHOOKS)
