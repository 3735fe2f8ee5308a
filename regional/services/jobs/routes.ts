// /v1/jobs: how far long work is, and the way to stop it.
import { z } from 'zod'
import { Job, shownJob } from '../../jobs/record.ts'
import { idSchema } from '../../schemas.ts'
import { notFound, type Service, tenantOperation } from '../../tenancy/service.ts'

const one = z.object({ id: idSchema('job') })

export const jobs: Service = {
  name: 'jobs',
  operations: [
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/jobs/{id}',
      tag: 'Jobs',
      summary: 'Read how far a job is',
      scope: 'jobs:read',
      params: one,
      answers: { 200: Job },
      async handle(tx, { params }) {
        const job = await tx.jobs.read(params.id)
        if (job === undefined) throw notFound()
        return { status: 200, body: shownJob(job) }
      },
    }),
    tenantOperation({
      name: 'cancel',
      method: 'delete',
      path: '/v1/jobs/{id}',
      tag: 'Jobs',
      summary: 'Cancel a job: no further step of it takes effect',
      scope: 'jobs:write',
      params: one,
      answers: { 200: Job },
      async handle(tx, { params }) {
        const job = await tx.jobs.cancel(params.id)
        if (job === undefined) throw notFound()
        return { status: 200, body: shownJob(job) }
      },
    }),
  ],
}
