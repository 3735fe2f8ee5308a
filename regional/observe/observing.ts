// The first thing that a request meets and the last: it is noted, and when its answer is over there is one line in the log,
// one observation in each histogram and the end of one span. The line holds nothing that a client wrote. A tail may go on
// for days, and ends when the process does: it is observed at its head, and what it uses is counted as it is used.
import { createMiddleware } from 'hono/factory'
import { DRAINING, EDGE_SPAN, TOOK } from '../../shared/headers.ts'
import { PROBLEMS } from '../../shared/problems.ts'
import { readEdgeSpan, readTraceParent } from '../../shared/trace.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { during, type OperationClass, RequestNote, STAGES, type Stage } from './request.ts'
import type { Tracing } from './tracing.ts'

const BETWEEN_REGIONS = '/internal/v1/'

/** What takes longer is told. */
const ROUTINE_MS = 100

export interface Observers {
  log: Log
  metrics: Metrics
  /** Undefined where traces go nowhere. */
  tracing: Tracing | undefined
}

export type Observed = { note: RequestNote }

export const observing = (observers: Observers) =>
  createMiddleware<{ Variables: Observed }>(async function observing(c, next) {
    const { metrics, tracing } = observers
    const { method } = c.req
    const said = c.req.raw.headers
    const trace = readTraceParent(said.get('traceparent'))
    // What regions ask each other by themselves is in no trace: each process of each region would fill one every two seconds.
    const isAlone = trace === undefined && c.req.path.startsWith(BETWEEN_REGIONS)
    const begun = isAlone
      ? undefined
      : tracing?.request(method, trace, trace && readEdgeSpan(said.get(EDGE_SPAN)))
    const note = new RequestNote(performance.now(), trace, begun)
    const { span } = note
    c.set('note', note)
    metrics.inFlight.inc()
    try {
      await during(note, next)
    } catch (error) {
      metrics.inFlight.dec()
      throw error
    }
    const { status, headers } = c.res
    const headMs = performance.now() - note.startedAt
    // Without it this is no answer to the edge, which asks another instance and says 503 to its client at the last. A 401 would tell
    // clients, wrongly, that their credentials do not hold, and spend no error budget.
    if (!note.isNoAnswer) c.res.headers.set(TOOK, headMs.toFixed(1))
    if (c.res.headers.has(DRAINING)) span?.goesOnElsewhere()
    // Of a stream, until its head: what comes later is one batch after the other, and no stage of a request.
    for (const stage of STAGES) {
      const ms = note.stages[stage]
      if (ms !== undefined) metrics.stages.observe({ stage }, ms / 1_000)
    }
    const use = using(metrics, note)
    const isStream = note.class === 'outside' || headers.get('content-type') === 'text/event-stream'
    const isTail = isStream && note.class === 'stream'
    const count = (outcome: number) =>
      metrics.requests.observe(
        { class: classOf(note), status: `${Math.floor(outcome / 100)}xx` },
        headMs / 1_000,
      )
    if (isTail) count(status)
    const over = () => {
      metrics.inFlight.dec()
      use()
      const outcome = outcomeOf(note, status)
      // A tail that fails by our fault counts once more, as that.
      if (!isTail || outcome >= 500) count(outcome)
      if (note.problem !== undefined) metrics.problems.inc({ code: note.problem })
      tell(observers, note, { method, status })
      span?.end(
        {
          'http.request.method': method,
          'http.response.status_code': status,
          ...(note.route !== undefined && { 'http.route': note.route }),
          ...(note.tenant !== undefined && { 'coditect.tenant': String(note.tenant) }),
          'coditect.request_id': note.requestId,
          'coditect.units': note.units,
          'coditect.retries': note.retries,
        },
        outcome >= 500,
      )
    }
    if (isStream && c.res.body !== null && method !== 'HEAD') {
      if (isTail) use()
      c.res = new Response(whole(c.res.body, note, use, over), c.res)
      return
    }
    // Hono answers HEAD as GET and drops the body, which would go on with nobody to end it.
    if (isStream) await c.res.body?.cancel()
    over()
  })

/** @returns what counts, each time, all that the request has used since the last time */
function using(metrics: Metrics, note: RequestNote): () => void {
  let counted = { requests: 0, units: 0, retries: 0 }
  return () => {
    const { tenant, units, retries } = note
    if (retries > counted.retries) metrics.retries.inc(retries - counted.retries)
    if (tenant !== undefined) metrics.used(tenant, 1 - counted.requests, units - counted.units)
    counted = { requests: 1, units, retries }
  }
}

function tell(
  { log }: Observers,
  note: RequestNote,
  { method, status }: { method: string; status: number },
): void {
  const ms = performance.now() - note.startedAt
  if (isRoutine(note, status, ms)) return
  const { problem, stopped, why, route, tenant, principal, operator, trace, units, retries, stages } = note
  log.info('request', {
    requestId: note.requestId,
    traceId: trace?.traceId,
    tenant: tenant === undefined ? undefined : String(tenant),
    principal,
    operator,
    method,
    route,
    status,
    code: problem ?? stopped,
    why,
    units: rounded(units),
    retries,
    ms: rounded(ms),
    stages: roundedEach(stages),
  })
}

/** What regions ask each other all day, each few seconds, and in no request's course: only trouble with it is worth a line. */
const isRoutine = (note: RequestNote, status: number, ms: number): boolean =>
  note.class === 'region' && note.trace === undefined && outcomeOf(note, status) < 400 && ms < ROUTINE_MS

/** The status of what it came to: a problem may have come after the head. */
const outcomeOf = ({ problem }: RequestNote, status: number): number =>
  problem === undefined ? status : PROBLEMS[problem].status

/** What the operator offers nobody does not fail: it is no request of which objectives are. */
const classOf = (note: RequestNote): OperationClass =>
  note.problem === 'no_model_configured' ? 'none' : note.class

const rounded = (value: number): number => Math.round(value * 100) / 100

function roundedEach(stages: RequestNote['stages']): RequestNote['stages'] {
  const all: Partial<Record<Stage, number>> = {}
  for (const stage of STAGES) {
    const ms = stages[stage]
    if (ms !== undefined) all[stage] = rounded(ms)
  }
  return all
}

/**
 * The same body; `passed` is called with each part of it, and `over` once, when it has ended, failed, or is wanted no more.
 * Reads nothing ahead.
 */
function whole(
  body: ReadableStream<Uint8Array>,
  note: RequestNote,
  passed: () => void,
  over: () => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  let told = false
  const once = () => {
    if (told) return
    told = true
    over()
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await during(note, () => reader.read())
          if (!done) {
            passed()
            return controller.enqueue(value)
          }
          once()
          controller.close()
        } catch (error) {
          once()
          throw error
        }
      },
      async cancel(reason) {
        once()
        await reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}
