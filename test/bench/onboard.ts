// A new organisation, from nothing to its first record, as whoever onboards it would write it: with the typed client.
import type { Stack } from '../e2e/stack.ts'

/** @returns the record, as it was answered. @throws {CoditectProblem} when a step is refused */
export async function onboard(
  stack: Stack,
  slug: string,
  region: string,
): Promise<{ id: string; data: object }> {
  const made = await stack.client(stack.operatorToken).call('POST /platform/v1/tenants', {
    body: { slug, name: slug, region, plan: 'team', owner: { email: `owner@${slug}.example` } },
  })
  const client = stack.client(made.apiKey.key)
  const { id: projectId } = await client.call('POST /v1/projects', { body: { name: 'First' } })
  return client.call('POST /v1/projects/{projectId}/collections/{name}/records', {
    params: { projectId, name: 'notes' },
    body: { data: { text: 'Hello' } },
  })
}
