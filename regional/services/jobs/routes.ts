// /v1/jobs: how far long work is, and the way to stop it.
import { z } from 'zod'
import { Job, type ShownJob, shownJob } from '../../jobs/record.ts'
import { idSchema } from '../../schemas.ts'
import {
  notFound,
  requireMatch,
  type Service,
  type TenantTransaction,
  tagOf,
  tenantOperation,
} from '../../tenancy/service.ts'

const one = z.object({ id: idSchema('job') })

/** @throws {Problem} `not_found` */
async function shownOne(tx: TenantTransaction, id: string): Promise<ShownJob> {
  const job = await tx.jobs.read(id)
  if (job === undefined) throw notFound()
  return shownJob(job)
}

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
        return { status: 200, body: await shownOne(tx, params.id) }
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
      problems: ['precondition_failed'],
      async handle(tx, { params, ifMatch }) {
        // Otherwise nothing is read of it that its steps write: they would be competed with.
        if (ifMatch !== undefined) requireMatch(ifMatch, tagOf(await shownOne(tx, params.id)))
        const job = await tx.jobs.cancel(params.id)
        if (job === undefined) throw notFound()
        return { status: 200, body: shownJob(job) }
      },
    }),
  ],
}
