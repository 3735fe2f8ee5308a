// A webhook that runs an agent: a job, so that the provider is answered at once, and nothing is lost.
import { Problem } from '../../../shared/problems.ts'
import { jobKind, type ServiceJobKind } from '../../jobs/kind.ts'
import type { Called } from '../../models/gateway.ts'
import type { ModelAccess } from '../agents/models.ts'
import type { Running } from '../agents/runs.ts'
import {
  type AgentPlace,
  beginUnattended,
  callUnattended,
  readUnattended,
  settleUnattended,
} from '../agents/unattended.ts'
import { readReceived } from './store.ts'

interface Payload extends AgentPlace {
  sourceId: string
  webhookId: string
}

/** What the agent is told, and then which run it became. */
type Place = { input: string } | { runId: string }

/** Of the platform, and it passes: too many wait for the model, or there is none just now. All else stays as it is. */
const PASSING: ReadonlySet<string> = new Set(['model_busy', 'no_model_configured', 'model_unavailable'])

/** Shorter than a run that somebody waits for: meanwhile it takes one of the worker's hands. */
const RUN_MS = 60_000
/** A place is kept with the job, so it stays small. */
const MAX_INPUT = 16 * 1024

type AgentRun = ServiceJobKind<Payload, Place, Called | undefined, Running | undefined>

export const agentRun = (models: ModelAccess): AgentRun =>
  jobKind({
    kind: 'webhook-sources.run-agent',
    service: ({ place }) => (place === undefined ? 'webhook-sources' : 'agents'),
    // About two hours, all in all.
    retry: { firstMs: 2_000, maxMs: 10 * 60_000, tries: 20 },
    read: async (tx, { payload, place }) =>
      place !== undefined && 'runId' in place ? readUnattended(tx, payload, place.runId) : undefined,
    outside: async (_job, signal, running) => running && callUnattended(running, models, signal, RUN_MS),
    async step(tx, { payload, place }, called) {
      try {
        if (place === undefined) {
          const { webhook, body } = await readReceived(tx, payload.sourceId, payload.webhookId)
          const text = body.toString('utf8').slice(0, MAX_INPUT).toWellFormed()
          return { next: { input: `A webhook came: ${webhook.type}\n\n${text}` } }
        }
        if ('input' in place) {
          return { next: { runId: await beginUnattended(tx, payload, place.input, models) } }
        }
        if (called !== undefined) await settleUnattended(tx, payload, place.runId, called)
        return { finished: true, done: 1 }
      } catch (error) {
        if (!(error instanceof Problem) || PASSING.has(error.code)) throw error
        return { failed: error.detail }
      }
    },
  })
