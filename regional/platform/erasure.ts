// An erasure as the operator sees it: a job, and at its end the certificate. Nothing of the tenant's is in it but its id.
import { z } from 'zod'
import { Job, shownJob } from '../jobs/record.ts'
import { idSchema, timeSchema } from '../schemas.ts'
import type { Erasure } from '../tenancy/erasure.ts'

const Certificate = z
  .object({
    tenant: idSchema('ten'),
    requestedBy: z.string().meta({
      description: 'The operator, `the organisation`, or `restoration`: erased again after a restore.',
    }),
    requestId: z.string(),
    requestedAt: timeSchema,
    begunAt: timeSchema,
    endedAt: timeSchema,
    keys: z.int(),
    bytes: z.int(),
    cleared: z
      .record(z.string(), z.object({ keys: z.int(), bytes: z.int() }))
      .meta({ description: 'By subspace of the tenant: what was there.' }),
    finalScan: z.object({ at: timeSchema, keysFound: z.int() }).meta({
      description: 'The transaction that ended the erasure read the whole prefix, and this was left.',
    }),
  })
  .meta({ id: 'ErasureCertificate' })

export const TenantErasure = Job.extend({ certificate: Certificate.nullable() }).meta({ id: 'TenantErasure' })

export function shownErasure(erasure: Erasure): z.infer<typeof TenantErasure> {
  const { finishedMs } = erasure
  const state = erasureState(erasure)
  const job = shownJob({ ...erasure, kind: 'tenants.erase', state, failures: 0, error: null })
  return { ...job, certificate: finishedMs === null ? null : certificateOf(erasure, finishedMs) }
}

export const erasureState = ({ finishedMs, startedMs }: Erasure) =>
  finishedMs !== null ? 'done' : startedMs !== null ? 'running' : 'queued'

function certificateOf(erasure: Erasure, finishedMs: number): z.infer<typeof Certificate> {
  const { tenant, by, cleared, createdMs, startedMs } = erasure
  const time = (ms: number) => new Date(ms).toISOString()
  const all = Object.values(cleared)
  return {
    tenant,
    requestedBy: by.operatorId ?? 'the organisation',
    requestId: by.requestId,
    requestedAt: time(createdMs),
    begunAt: time(startedMs ?? finishedMs),
    endedAt: time(finishedMs),
    keys: all.reduce((sum, { keys }) => sum + keys, 0),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    cleared,
    // It would not have ended otherwise.
    finalScan: { at: time(finishedMs), keysFound: 0 },
  }
}
