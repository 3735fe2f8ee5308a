// /v1/signed-urls: an API key gives part of what it may do to whoever holds a URL. Nothing is stored: the URL says it
// all, and each use of it reads the key's record again, so that it dies with the key.
import { Problem } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { FindOperation } from '../../tenancy/find_operation.ts'
import type { SignUrl } from '../../tenancy/mint.ts'
import { type Service, tenantOperation } from '../../tenancy/service.ts'
import { CreateSignedUrl, SignedUrl } from './schema.ts'

export const signedUrls = (sign: SignUrl, find: FindOperation): Service => ({
  name: 'signed-urls',
  mintsCredentials: true,
  operations: [
    tenantOperation({
      name: 'create',
      method: 'post',
      path: '/v1/signed-urls',
      tag: 'Signed URLs',
      summary: 'Sign a URL for one method and path',
      scope: 'signed-urls:write',
      body: CreateSignedUrl,
      answers: { 201: SignedUrl },
      async handle(tx, { body: { method, path: target, expiresIn } }) {
        const { tenant, principal, scopes, publicOrigin: origin, nowMs } = tx.context
        if (origin === undefined) throw new Error('the edge did not say where clients find it')
        if (principal.kind !== 'api_key') {
          throw new Problem('insufficient_scope', 'A URL is signed by an API key: it has to die with one.')
        }
        const [path = target] = target.split('?')
        const found = find(method, path)
        if (found === undefined) {
          throw new Problem('validation_failed', 'There is no such operation to sign for.', {
            errors: [{ pointer: '/path', detail: `${method} does nothing there` }],
          })
        }
        const { scope, declaration } = found.operation
        if (path !== target && method !== 'GET' && declaration.query === undefined) {
          throw new Problem('validation_failed', 'What would be signed is refused.', {
            errors: [{ pointer: '/path', detail: `${method} takes no query there` }],
          })
        }
        if (found.service.mintsCredentials) {
          throw new Problem('insufficient_scope', 'No signed URL reaches what gives access.')
        }
        if (!allows(scopes, scope)) {
          throw new Problem('insufficient_scope', `A URL cannot give what its maker does not have: ${scope}.`)
        }
        const expiresAtMs = (Math.floor(nowMs / 1000) + expiresIn) * 1000
        const claims = { tenant, issuer: principal.keyId, scope, expiresAtMs }
        const url = await sign(claims, { origin, method, target })
        return {
          status: 201,
          body: { url, expiresAt: new Date(expiresAtMs).toISOString() },
          // A query may hold what somebody looks for.
          target: `${method} ${path}`,
        }
      },
    }),
  ],
})
