// Tenants for a benchmark, made through the API as anybody's are: a project each, a collection with an index, and some
// records in it.
import type { Stack } from '../../e2e/stack.ts'

export interface BenchTenant {
  id: string
  key: string
  plan: string
  project: string
  records: string[]
}

export interface TenantsWanted {
  count: number
  planOf: (rank: number) => 'free' | 'team' | 'enterprise'
  recordsEach: number
}

const COLLECTION = 'notes'
/** Of a collection; by default of the one that every tenant here has. */
export const recordsPath = (project: string, collection = COLLECTION): string =>
  `/v1/projects/${project}/collections/${collection}/records`

const AT_A_TIME = 16

/** Some 300 bytes, found by `kind`. */
export const smallDocument = (n: number): object => ({
  kind: `kind-${n % 4}`,
  title: `Note ${n}`,
  done: n % 2 === 0,
  text: 'Neither short nor long, as what people write down to remember it. '.repeat(3),
})
const BY_KIND = { indexes: [{ field: 'kind', type: 'string' }] }

/** @throws {Error} when one can't be made */
export async function makeTenants(stack: Stack, wanted: TenantsWanted): Promise<BenchTenant[]> {
  const made: BenchTenant[] = []
  let next = 0
  const makeSome = async () => {
    while (next < wanted.count) {
      const rank = next++
      made[rank] = await makeTenant(stack, rank, wanted)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, makeSome))
  return made
}

async function makeTenant(stack: Stack, rank: number, wanted: TenantsWanted): Promise<BenchTenant> {
  const { planOf, recordsEach } = wanted
  const step = async <T>(method: string, path: string, body: object, as?: string): Promise<T> => {
    const answer = await stack.call<T>(path, { method, body, ...(as !== undefined && { as }) })
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const plan = planOf(rank)
  const { tenant, apiKey } = await step<{ tenant: { id: string }; apiKey: { key: string } }>(
    'POST',
    '/platform/v1/tenants',
    {
      slug: `bench-${rank}`,
      name: `Bench ${rank}`,
      region: 'us',
      plan,
      owner: { email: 'bench@coditect.example' },
    },
  )
  const { key } = apiKey
  const project = await step<{ id: string }>('POST', '/v1/projects', { name: 'Bench' }, key)
  const records = recordsPath(project.id)
  await step('PUT', records.replace(/\/records$/, ''), BY_KIND, key)
  const operations = Array.from({ length: recordsEach }, (_, n) => ({ op: 'create', data: smallDocument(n) }))
  const { results } = await step<{ results: Array<{ record: { id: string } }> }>(
    'POST',
    `${records}:batch`,
    { operations },
    key,
  )
  return { id: tenant.id, key, plan, project: project.id, records: results.map(({ record }) => record.id) }
}
