// A webhook that runs an agent: a job, so that the provider is answered at once, and nothing is lost. It is done when the run
// has begun.
import { Problem, type ProblemCode } from '../../../shared/problems.ts'
import { beginningOf } from '../../beginning_of.ts'
import { CannotBeDone, jobKind, type ServiceJobKind } from '../../jobs/kind.ts'
import type { ModelAccess } from '../agents/models.ts'
import { type AgentPlace, beginUnattended, UNATTENDED_RUN } from '../agents/unattended.ts'
import { readReceived } from './store.ts'

interface Payload extends AgentPlace {
  sourceId: string
  webhookId: string
}

/** What the agent is told. Older jobs went on with the run themselves. */
type Place = { input: string } | { runId: string }

/** The tenant's own, and stays as it is. All else is the platform's, such as a control region that does not answer, and passes. */
const LASTING: ReadonlySet<ProblemCode> = new Set(['not_found', 'project_archived', 'quota_exceeded'])

/** A place is kept with the job, as JSON, so it stays small. */
const MAX_INPUT = 16 * 1024

export const agentRun = (models: ModelAccess): ServiceJobKind<Payload, Place> =>
  jobKind({
    kind: 'webhook-sources.run-agent',
    service: ({ place }) => (place === undefined ? 'webhook-sources' : 'agents'),
    lane: UNATTENDED_RUN,
    // About two hours, all in all.
    retry: { firstMs: 2_000, maxMs: 10 * 60_000, tries: 20 },
    async step(tx, { payload, place }) {
      try {
        if (place === undefined) {
          const { webhook, body } = await readReceived(tx, payload.sourceId, payload.webhookId)
          const text = beginningOf(body.toString('utf8'), MAX_INPUT).toWellFormed()
          return { next: { input: `A webhook came: ${webhook.type}\n\n${text}` } }
        }
        if ('input' in place) await beginUnattended(tx, payload, place.input, models)
        return { finished: true, done: 1 }
      } catch (error) {
        if (!(error instanceof Problem && LASTING.has(error.code))) throw error
        // What it had taken by then is not taken.
        throw new CannotBeDone(error.detail)
      }
    },
  })
