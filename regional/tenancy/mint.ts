// Minting: a new API key and the record that will answer for it.
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import type { Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { CredentialRecord } from './records.ts'

export interface NewKey {
  tenant: TenantNumber
  name: string
  scopes: ReadonlyArray<string>
  expiresAt: string | null
  nowMs: number
}

/** A key's text, which is shown once, and its record, which is kept. */
export type Mint = (key: NewKey) => Promise<{ text: string; record: CredentialRecord }>

export const minting =
  (environment: string, region: string, roots: Roots): Mint =>
  async ({ tenant, name, scopes, expiresAt, nowMs }) => {
    const keyId = newId('key', nowMs)
    const { text, secretHash } = await mintApiKey(environment, { tenant, region, keyId }, roots)
    const createdAt = new Date(nowMs).toISOString()
    return { text, record: { id: keyId, name, scopes, secretHash, createdAt, expiresAt } }
  }
