import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Ask, type Regions, startRegions } from './support.ts'
import { thingsService } from './things_service.ts'

let regions: Regions
/** Called in each step that removes something below a project. */
let onStep = (_: string): void => {}
beforeAll(async () => {
  const tell = (projectId: string) => onStep(projectId)
  regions = await startRegions({
    extraServices: [thingsService('things', tell), thingsService('others', tell)],
  })
})
afterAll(() => regions.close())

let tenants = 0
async function newTenant() {
  const { key } = await regions.newTenant(`projects-${++tenants}`, 'us')
  const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
  return {
    ask,
    async newProject(filled: { things?: number; others?: number } = {}): Promise<string> {
      const { body } = await ask('/v1/projects', { method: 'POST', body: { name: 'P' } })
      for (const [name, count] of Object.entries(filled)) {
        const made = await ask(`/v1/projects/${body.id}/${name}`, { method: 'POST', body: { count } })
        expect(made.status).toBe(201)
      }
      return body.id
    },
    ended: (job: string) =>
      vi.waitFor(
        async () => {
          const { body } = await ask(`/v1/jobs/${job}`)
          expect(body.state).toBe('done')
          return body
        },
        { timeout: 20_000, interval: 20 },
      ),
    left: async () => [(await ask('/v1/things')).body.count, (await ask('/v1/others')).body.count],
  }
}

describe('an archived project', () => {
  test('is read and not changed, nor anything below it, until it is restored', async () => {
    const { ask, newProject } = await newTenant()
    const id = await newProject({ things: 2 })
    const path = `/v1/projects/${id}`
    const archived = await ask(`${path}/archive`, { method: 'POST' })
    expect(archived.status).toBe(200)
    expect(archived.body.archivedAt).toBe(archived.body.updatedAt)
    expect((await ask(path)).body).toEqual(archived.body)
    expect((await ask(`${path}/things`)).body.count).toBe(2)
    const changes: Array<[string, Partial<Ask>]> = [
      [path, { method: 'PATCH', body: { name: 'Q' } }],
      [`${path}/things`, { method: 'POST', body: { count: 3 } }],
    ]
    for (const [at, change] of changes) {
      const { status, body } = await ask(at, change)
      expect([status, body.code]).toEqual([409, 'project_archived'])
    }
    const restored = await ask(`${path}/restore`, { method: 'POST' })
    expect([restored.status, restored.body.archivedAt]).toEqual([200, null])
    for (const [at, change] of changes) expect((await ask(at, change)).status).toBeLessThan(300)
  })

  test('is archived, and restored, once: again it is the same version', async () => {
    const { ask, newProject } = await newTenant()
    const path = `/v1/projects/${await newProject()}`
    for (const verb of ['archive', 'restore']) {
      const first = await ask(`${path}/${verb}`, { method: 'POST' })
      const second = await ask(`${path}/${verb}`, { method: 'POST' })
      expect([second.body, second.headers.get('etag')]).toEqual([first.body, first.headers.get('etag')])
    }
    const stale = await ask(`${path}/archive`, { method: 'POST', headers: { 'if-match': '"1"' } })
    expect(stale.status).toBe(412)
  })

  test('can be deleted', async () => {
    const { ask, newProject } = await newTenant()
    const path = `/v1/projects/${await newProject()}`
    await ask(`${path}/archive`, { method: 'POST' })
    expect((await ask(path, { method: 'DELETE' })).status).toBe(202)
    expect((await ask(`${path}/restore`, { method: 'POST' })).status).toBe(404)
  })
})

describe('a deleted project', () => {
  test('takes all that lies below it along, in every service, and nothing else', async () => {
    const { ask, newProject, ended, left } = await newTenant()
    const kept = await newProject({ things: 5, others: 7 })
    const id = await newProject({ things: 23, others: 34 })
    const { status, body, headers } = await ask(`/v1/projects/${id}`, { method: 'DELETE' })
    expect([status, headers.get('location')]).toEqual([202, `/v1/jobs/${body.job}`])
    const job = await ended(body.job)
    expect(job).toMatchObject({ kind: 'projects.delete', done: 57, error: null })
    expect(await left()).toEqual([5, 7])
    expect((await ask(`/v1/projects/${kept}/things`)).body.count).toBe(5)
  })

  test('is gone for every reader and writer before anything below it is cleared', async () => {
    const { ask, newProject, ended } = await newTenant()
    const id = await newProject({ things: 15 })
    let wanted = true
    // A step that fails leaves all as it was, until it is let through.
    onStep = (projectId) => {
      if (wanted && projectId === id) throw new Error('not yet')
    }
    const { body } = await ask(`/v1/projects/${id}`, { method: 'DELETE' })
    expect((await ask('/v1/things')).body.count).toBe(15)
    for (const [path, more] of [
      [`/v1/projects/${id}`, {}],
      [`/v1/projects/${id}`, { method: 'DELETE' }],
      [`/v1/projects/${id}/things`, {}],
      [`/v1/projects/${id}/things`, { method: 'POST', body: { count: 1 } }],
    ] as const) {
      expect((await ask(path, more)).status).toBe(404)
    }
    wanted = false
    expect((await ended(body.job)).done).toBe(15)
  })

  test('gives its place in the quota back at once', async () => {
    const { ask, newProject } = await newTenant()
    const id = await newProject()
    const used = async () => (await ask('/v1/usage')).body.quotas.projects.used
    expect(await used()).toBe(1)
    await ask(`/v1/projects/${id}`, { method: 'DELETE' })
    expect(await used()).toBe(0)
  })

  test('is cleared to the end: nobody cancels that', async () => {
    const { ask, newProject, ended, left } = await newTenant()
    const id = await newProject({ others: 25 })
    let wanted = true
    onStep = (projectId) => {
      if (wanted && projectId === id) throw new Error('not yet')
    }
    const { body } = await ask(`/v1/projects/${id}`, { method: 'DELETE' })
    expect(await ask(`/v1/jobs/${body.job}`, { method: 'DELETE' })).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    })
    wanted = false
    await ended(body.job)
    expect(await left()).toEqual([0, 0])
  })

  test('leaves nothing behind of what was written while it was deleted', async () => {
    const { ask, newProject, ended, left } = await newTenant()
    for (let round = 0; round < 8; round++) {
      const id = await newProject()
      const fill = () => ask(`/v1/projects/${id}/things`, { method: 'POST', body: { count: 12 } })
      const [deleted, ...filled] = await Promise.all([
        ask(`/v1/projects/${id}`, { method: 'DELETE' }),
        fill(),
        fill(),
        fill(),
      ])
      for (const { status } of filled) expect([201, 404]).toContain(status)
      await ended(deleted.body.job)
    }
    expect(await left()).toEqual([0, 0])
  })
})

test('a deleted project takes its records and what they were charged along', async () => {
  const { ask, newProject, ended } = await newTenant()
  const id = await newProject()
  const records = `/v1/projects/${id}/collections/notes/records`
  for (let n = 0; n < 3; n++) {
    expect((await ask(records, { method: 'POST', body: { data: { n } } })).status).toBe(201)
  }
  const { body } = await ask(`/v1/projects/${id}`, { method: 'DELETE' })
  expect((await ask(records)).status).toBe(404)
  expect((await ended(body.job)).done).toBe(3)
})
