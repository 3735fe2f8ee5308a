// /v1/tenant
import { profileSpace, shownTenant } from '../../tenancy/records.ts'
import { notFound, type Service, tenantOperation } from '../../tenancy/service.ts'
import { Tenant } from './schema.ts'

export const tenant: Service = {
  name: 'tenant',
  operations: [
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/tenant',
      tag: 'Organisation',
      summary: 'Read the organisation that the credential belongs to',
      scope: 'tenant:read',
      answers: { 200: Tenant },
      async handle(tx) {
        const profile = await tx.space(profileSpace).get(['profile'])
        if (profile === undefined) throw notFound()
        // Whoever is answered here is active: everyone else was refused on the way.
        return {
          status: 200,
          body: shownTenant(profile, 'active'),
          headers: { etag: `"${profile.version}"` },
        }
      },
    }),
  ],
}
