// A region with a project to keep records in.
import { expect } from 'vitest'
import type { RegionParts } from '../../regional/server.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, type Ask, type Regions, startRegions } from './support.ts'

export { eventually }

export interface Collection {
  path: string
  records: string
  /** A request on this collection's path and what follows it. */
  ask(path: string, method?: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  declare(body: unknown): Promise<Answer>
  create(data: unknown, more?: object): Promise<Answer>
  get(query?: string): Promise<Answer>
  /** All pages of a query. */
  // biome-ignore lint/suspicious/noExplicitAny: records of every shape
  all(query?: string): Promise<any[]>
  /** Waits until no index is being built. */
  built(): Promise<Answer>
}

export interface Tenant {
  ask(path: string, more?: Partial<Ask>): Promise<Answer>
  newProject(): Promise<string>
  collection(name: string, project?: string): Promise<Collection>
}

export async function startRecords(parts: RegionParts = {}): Promise<{
  regions: Regions
  newTenant(slug: string): Promise<Tenant>
}> {
  const regions = await startRegions(parts)
  return {
    regions,
    async newTenant(slug) {
      const { key } = await regions.newTenant(slug, 'us')
      const ask: Tenant['ask'] = (path, more = {}) => regions.ask('us', { as: key, path, ...more })
      const newProject = async () => {
        const { status, body } = await ask('/v1/projects', { method: 'POST', body: { name: 'P' } })
        expect(status).toBe(201)
        return body.id as string
      }
      return {
        ask,
        newProject,
        async collection(name, project) {
          const path = `/v1/projects/${project ?? (await newProject())}/collections/${name}`
          const records = `${path}/records`
          const self: Collection = {
            path,
            records,
            ask: (below, method = 'GET', body = undefined, headers = {}) =>
              ask(path + below, { method, body, headers }),
            declare: (body) => ask(path, { method: 'PUT', body }),
            create: (data, more = {}) => ask(records, { method: 'POST', body: { data, ...more } }),
            get: (query = '') => ask(`${records}${query}`),
            async all(query = '?limit=25') {
              const found = []
              for (let cursor: string | null = ''; cursor !== null; ) {
                const { status, body } = await ask(`${records}${query}${cursor && `&cursor=${cursor}`}`)
                expect(status, JSON.stringify(body)).toBe(200)
                found.push(...body.data)
                cursor = body.nextCursor
              }
              return found
            },
            built: () =>
              eventually(async () => {
                const answer = await ask(path)
                for (const index of answer.body.indexes) expect(index.state).not.toBe('building')
                return answer
              }),
          }
          return self
        },
      }
    },
  }
}
