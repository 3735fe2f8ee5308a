// A region as a process of its own whose services leave promises alone. Its parent is sent every line of its log.
import { z } from 'zod'
import { readConfig } from '../../regional/config.ts'
import { jobKind } from '../../regional/jobs/kind.ts'
import { endWith, startRegion } from '../../regional/server.ts'
import { jsonSpace, notFound, type Service, tenantOperation } from '../../regional/tenancy/service.ts'

const seen = jsonSpace<[what: string], number>('seen')

const stepping = jobKind<null>({
  kind: 'leaving.step',
  service: 'leaving',
  retry: { firstMs: 1_000, maxMs: 1_000, tries: 1 },
  async step() {
    void Promise.reject(new Error('left by a step'))
    return { finished: true }
  },
})

const leaving: Service = {
  name: 'leaving',
  jobKinds: [stepping],
  operations: [
    tenantOperation({
      name: 'both',
      method: 'post',
      path: '/v1/leaving/{project}',
      tag: 'Test',
      summary: 'Reads two things at once, and waits for one of them only',
      scope: 'projects:write',
      params: z.object({ project: z.string() }),
      answers: { 204: null },
      async handle(tx, { params }) {
        const project = tx.project(params.project, 'write')
        const other = await tx.space(seen).get(['other'])
        if (other === undefined) throw notFound()
        await project
        return { status: 204 }
      },
    }),
    tenantOperation({
      name: 'job',
      method: 'post',
      path: '/v1/leaving',
      tag: 'Test',
      summary: 'Has a job do so',
      scope: 'projects:write',
      answers: { 204: null },
      async handle(tx) {
        tx.enqueue(stepping, null)
        return { status: 204 }
      },
    }),
  ],
}

const region = await startRegion(readConfig(process.env), {
  extraServices: [leaving],
  writeLog: (line) => process.send?.(JSON.parse(line)),
})
endWith(region)
process.on('message', () => void Promise.reject(new Error('left by the region itself')))
process.on('SIGTERM', () => {
  void region.close().then(() => process.exit(0))
})
