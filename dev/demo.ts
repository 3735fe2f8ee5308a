// The demo tenant, made through the same API as any other on the first start.
import { IDEMPOTENCY_KEY } from '../shared/headers.ts'
import type { Demo } from './secrets.ts'
import { StartError } from './start_error.ts'

interface Created {
  tenant: { id: string }
  apiKey: { key: string }
}

const LOST =
  'the databases hold a demo tenant whose key secrets.json does not have: put the secrets.json that they were made with back, or start with an empty DATA_DIR'

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
    const told = await response.text()
    if (told.includes('"slug_taken"')) throw new StartError(LOST)
    throw new StartError(`the demo tenant could not be made: ${response.status} ${told}`)
  }
  const { tenant, apiKey } = (await response.json()) as Created
  return { tenantId: tenant.id, apiKey: apiKey.key }
}

/** A day is as long as someone tries things with one start. */
const LINK_SECONDS = 24 * 60 * 60

/** The way into the demo tenant's console, or why there is none. */
export type DemoWay = { adminUrl: string; refused?: never } | { adminUrl: null; refused: string }

/** Whoever tries things may have done so. */
const CLOSED =
  'The demo tenant lets nobody in: its first API key was revoked, or it is suspended or deleted.\n  An empty DATA_DIR begins with a new one.'
const CLOSED_STATUSES: ReadonlyArray<number> = [401, 403, 410]

/** New with every start: the one before may have been used. */
export async function demoWay(edgeUrl: string, { apiKey }: Demo): Promise<DemoWay> {
  const response = await fetch(`${edgeUrl}/v1/admin-links`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ role: 'owner', email: 'owner@demo.example', expiresIn: LINK_SECONDS }),
  })
  if (response.ok) return { adminUrl: ((await response.json()) as { url: string }).url }
  const told = `There is no link into the demo tenant's console: ${response.status} ${await response.text()}`
  return { adminUrl: null, refused: CLOSED_STATUSES.includes(response.status) ? CLOSED : told }
}
