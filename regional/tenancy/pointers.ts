// Pointers: the region's list of tenants with something left to do. A pointer says only which tenant; what is to be
// done lies behind the tenant's own prefix.
import { jsonSpace } from '../storage/space.ts'

/** Tenants whose making has begun and is not finished: since when. */
export const provisioningPointer = jsonSpace<[tenant: Buffer], { since: string }>('provisioning')

/** Every pointer that a tenant's own transaction may write. */
export const pointerSpaces = [provisioningPointer]
