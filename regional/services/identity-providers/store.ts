// Identity providers as they are kept: the very records that every token is checked against.
import { newId } from '../../../shared/ids.ts'
import { audienceOf, isTenantAudience } from '../../../shared/issuer.ts'
import { Problem } from '../../../shared/problems.ts'
import { mayGrant } from '../../../shared/roles.ts'
import { issuerSpace, type ProviderRecord, providerSpace } from '../../tenancy/records.ts'
import { notFound, type Page, type TenantTransaction, unfitBody } from '../../tenancy/service.ts'
import { type CreateIdentityProvider, clientSecretBound, type UpdateIdentityProvider } from './schema.ts'

export interface Seal {
  seal(text: string, bound: string): string
}

/** @throws {Problem} `insufficient_scope`, `validation_failed`, `conflict`, `quota_exceeded` */
export async function createProvider(
  tx: TenantTransaction,
  { audience, clientSecret, ...body }: CreateIdentityProvider,
  seal: Seal,
): Promise<ProviderRecord> {
  const { nowMs } = tx.context
  const createdAt = new Date(nowMs).toISOString()
  const id = newId('idp', nowMs)
  const provider: ProviderRecord = {
    id,
    ...body,
    sealedClientSecret: clientSecret === null ? null : seal.seal(clientSecret, clientSecretBound(id)),
    audience: await audienceFor(tx, audience),
    createdAt,
    updatedAt: createdAt,
    version: 1,
  }
  requireGrants(tx, provider)
  if ((await tx.space(issuerSpace).get([provider.issuer])) !== undefined) {
    throw new Problem('conflict', 'The issuer has an identity provider here already.')
  }
  await tx.take('identityProviders', 1)
  tx.space(issuerSpace).set([provider.issuer], provider.id)
  tx.space(providerSpace).set([provider.id], provider)
  tx.emit('identity_provider.created', provider.id)
  return provider
}

/** Oldest first. */
export const listProviders = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], ProviderRecord>> => tx.space(providerSpace).page({ limit, after })

/** @throws {Problem} `not_found` */
export async function readProvider(tx: TenantTransaction, id: string): Promise<ProviderRecord> {
  const provider = await tx.space(providerSpace).get([id])
  if (provider === undefined) throw notFound()
  return provider
}

/** @throws {Problem} `insufficient_scope`, `validation_failed` */
export async function updateProvider(
  tx: TenantTransaction,
  before: ProviderRecord,
  { clientSecret, ...changes }: UpdateIdentityProvider,
  seal: Seal,
): Promise<ProviderRecord> {
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
  const after: ProviderRecord = {
    ...before,
    ...given,
    ...(clientSecret !== undefined && {
      sealedClientSecret: clientSecret && seal.seal(clientSecret, clientSecretBound(before.id)),
    }),
    audience: changes.audience === undefined ? before.audience : await audienceFor(tx, changes.audience),
    updatedAt: new Date(tx.context.nowMs).toISOString(),
    version: before.version + 1,
  }
  requireGrants(tx, before)
  requireGrants(tx, after)
  tx.space(providerSpace).set([after.id], after)
  tx.emit('identity_provider.updated', after.id)
  return after
}

/** Its members stay members, but none of its tokens opens anything from this commit on. */
export async function deleteProvider(tx: TenantTransaction, { id, issuer }: ProviderRecord): Promise<void> {
  tx.space(providerSpace).clear([id])
  tx.space(issuerSpace).clear([issuer])
  await tx.take('identityProviders', -1)
  tx.emit('identity_provider.deleted', id)
}

/** @throws {Problem} `validation_failed` for the audience of another tenant */
async function audienceFor(tx: TenantTransaction, wanted: string | undefined): Promise<string> {
  const own = audienceOf(await tx.tenantId())
  if (wanted === undefined || wanted === own) return own
  if (!isTenantAudience(wanted)) return wanted
  throw unfitBody([{ pointer: '/audience', detail: `begins with coditect: but is not ${own}` }])
}

/** Nobody lets others in as more than they are. */
function requireGrants({ context }: TenantTransaction, { roleMapping, defaultRole }: ProviderRecord): void {
  const roles = [...Object.values(roleMapping), ...(defaultRole === null ? [] : [defaultRole])]
  const beyond = roles.find((role) => !mayGrant(context.scopes, role))
  if (beyond === undefined) return
  throw new Problem('insufficient_scope', `The role ${beyond} allows more than you may.`)
}
