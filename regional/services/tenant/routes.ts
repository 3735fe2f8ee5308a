// /v1/tenant
import { z } from 'zod'
import { Problem } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import { idSchema } from '../../schemas.ts'
import { PLAIN, type ProfileRecord, profileSpace, shownTenant } from '../../tenancy/records.ts'
import { notFound, requireMatch, type Service, tenantOperation } from '../../tenancy/service.ts'
import { Tenant, UpdateOrganisation } from './schema.ts'

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
    tenantOperation({
      name: 'update',
      method: 'patch',
      path: '/v1/tenant',
      tag: 'Organisation',
      summary: 'Change the organisation’s name, or how its people see it',
      scope: 'tenant:write',
      body: UpdateOrganisation,
      answers: { 200: Tenant },
      problems: ['precondition_failed'],
      async handle(tx, { body, ifMatch }) {
        const before = await tx.space(profileSpace).get(['profile'])
        if (before === undefined) throw notFound()
        requireMatch(ifMatch, `"${before.version}"`)
        const changes = definedIn(body.customisation ?? {})
        const after: ProfileRecord = {
          ...before,
          name: body.name ?? before.name,
          corsOrigins: body.corsOrigins ?? before.corsOrigins ?? [],
          customisation: { ...PLAIN, ...before.customisation, ...changes },
          updatedAt: new Date(tx.context.nowMs).toISOString(),
          version: before.version + 1,
        }
        tx.space(profileSpace).set(['profile'], after)
        if (body.corsOrigins !== undefined) await tx.renewSnapshot()
        tx.emit('tenant.updated', before.id)
        return { status: 200, body: shownTenant(after, 'active'), headers: { etag: `"${after.version}"` } }
      },
    }),
    tenantOperation({
      name: 'erase',
      method: 'delete',
      path: '/v1/tenant',
      tag: 'Organisation',
      summary: 'Erase the organisation: shut at once, cleared by a job, for good',
      scope: 'tenant:write',
      erases: true,
      query: z.strictObject({
        confirm: z
          .string()
          .meta({ description: 'The organisation’s slug, so that nobody erases by mistake.' }),
      }),
      answers: { 202: z.object({ id: idSchema('job'), tenant: idSchema('ten') }).meta({ id: 'Shut' }) },
      problems: ['precondition_failed', 'validation_failed'],
      async handle(tx, { query, ifMatch }) {
        if (!allows(tx.context.scopes, '*')) {
          throw new Problem(
            'insufficient_scope',
            'Only an owner erases an organisation: this needs the scope *.',
          )
        }
        const profile = await tx.space(profileSpace).get(['profile'])
        if (profile === undefined) throw notFound()
        requireMatch(ifMatch, `"${profile.version}"`)
        if (query.confirm !== profile.slug) {
          throw new Problem('validation_failed', '`confirm` has to be the organisation’s slug.')
        }
        return tx.eraseOrganisation()
      },
    }),
  ],
}

const definedIn = <T extends object>(changes: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
