// A new organisation, from nothing to its first record.
import type { Stack } from '../e2e/stack.ts'

interface Made {
  tenant: { id: string }
  apiKey: { key: string }
}

/** @returns the record, as it was answered. @throws {Error} when a step is refused */
export async function onboard(
  stack: Stack,
  slug: string,
  region: string,
): Promise<{ id: string; data: object }> {
  const step = async <T>(path: string, as: string | undefined, body: object): Promise<T> => {
    const answer = await stack.call<T>(path, { method: 'POST', body, ...(as !== undefined && { as }) })
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const made = await step<Made>('/platform/v1/tenants', undefined, {
    slug,
    name: slug,
    region,
    plan: 'team',
    owner: { email: `owner@${slug}.example` },
  })
  const { key } = made.apiKey
  const project = await step<{ id: string }>('/v1/projects', key, { name: 'First' })
  return step(`/v1/projects/${project.id}/collections/notes/records`, key, { data: { text: 'Hello' } })
}
