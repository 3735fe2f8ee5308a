// Services for tests that keep things below projects: `PUT …/<name>/{from}` makes `count` of them, `GET` counts them.
import { z } from 'zod'
import { idSchema } from '../../regional/schemas.ts'
import { jsonSpace, type Service, tenantOperation } from '../../regional/tenancy/service.ts'

/** Of the same name in each service: only its subspace tells them apart. */
const things = jsonSpace<[projectId: string, n: number], string>('thing')
const STEP = 10

const Counted = z.object({ count: z.int() })

/** @param onStep is told of each step that removes some of them */
export const thingsService = (name: string, onStep: (projectId: string) => void = () => {}): Service => ({
  name,
  operations: [
    tenantOperation({
      name: 'fill',
      method: 'post',
      path: `/v1/projects/{projectId}/${name}`,
      tag: 'Test',
      summary: 'Make some things',
      scope: 'projects:write',
      params: z.object({ projectId: idSchema('prj') }),
      body: Counted,
      answers: { 201: Counted },
      problems: ['project_archived'],
      async handle(tx, { params: { projectId }, body: { count } }) {
        await tx.project(projectId, 'write')
        for (let n = 0; n < count; n++) tx.space(things).set([projectId, n], 'a thing')
        return { status: 201, body: { count } }
      },
    }),
    tenantOperation({
      name: 'count',
      method: 'get',
      path: `/v1/projects/{projectId}/${name}`,
      tag: 'Test',
      summary: 'Count things',
      scope: 'projects:read',
      params: z.object({ projectId: idSchema('prj') }),
      answers: { 200: Counted },
      async handle(tx, { params: { projectId } }) {
        await tx.project(projectId, 'read')
        const { entries } = await tx.space(things).page({ under: [projectId], limit: 1000 })
        return { status: 200, body: { count: entries.length } }
      },
    }),
    tenantOperation({
      name: 'leftovers',
      method: 'get',
      path: `/v1/${name}`,
      tag: 'Test',
      summary: 'Count all things, whether their project is there or not',
      scope: 'projects:read',
      answers: { 200: Counted },
      async handle(tx) {
        const { entries } = await tx.space(things).page({ limit: 1000 })
        return { status: 200, body: { count: entries.length } }
      },
    }),
  ],
  async belowProject(tx, projectId, place) {
    onStep(projectId)
    const before = (place as number | undefined) ?? 0
    const { entries, more } = await tx.space(things).page({ under: [projectId], limit: STEP })
    for (const [key] of entries) tx.space(things).clear(key)
    const done = before + entries.length
    return more ? { next: done, done } : { finished: true, done }
  },
})
