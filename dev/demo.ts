// The demo tenant, made through the same API as any other on the first start.
import { IDEMPOTENCY_KEY } from '../shared/headers.ts'
import type { Demo } from './secrets.ts'
import { StartError } from './start_error.ts'

interface Created {
  tenant: { id: string }
  apiKey: { key: string }
  adminLink: { url: string } | null
}

/** The fixed idempotency key completes a first start that ended in the middle. */
export async function createDemo(edgeUrl: string, operatorToken: string): Promise<Demo> {
  const response = await fetch(`${edgeUrl}/platform/v1/tenants`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${operatorToken}`,
      'content-type': 'application/json',
      [IDEMPOTENCY_KEY]: 'demo',
    },
    body: JSON.stringify({
      slug: 'demo',
      name: 'Demo',
      region: 'us',
      plan: 'team',
      owner: { email: 'owner@demo.example' },
    }),
  })
  if (!response.ok) {
    throw new StartError(`the demo tenant could not be made: ${response.status} ${await response.text()}`)
  }
  const { tenant, apiKey, adminLink } = (await response.json()) as Created
  return { tenantId: tenant.id, apiKey: apiKey.key, adminUrl: adminLink?.url ?? null }
}
