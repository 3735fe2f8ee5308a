// The first thing that a request meets and the last: it is noted, and when its answer is over there is one line in the log,
// one observation in each histogram and the end of one span. The line holds nothing that a client wrote.
import { createMiddleware } from 'hono/factory'
import { EDGE_SPAN, TOOK } from '../../shared/headers.ts'
import { PROBLEMS } from '../../shared/problems.ts'
import { readEdgeSpan, readTraceParent } from '../../shared/trace.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { during, RequestNote, STAGES, type Stage } from './request.ts'
import type { Tracing } from './tracing.ts'

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
    const begun = tracing?.request(method, trace, trace && readEdgeSpan(said.get(EDGE_SPAN)))
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
    c.res.headers.set(TOOK, headMs.toFixed(1))
    // Of a stream, until its head: what comes later is one batch after the other, and no stage of a request.
    for (const stage of STAGES) {
      const ms = note.stages[stage]
      if (ms !== undefined) metrics.stages.observe({ stage }, ms / 1_000)
    }
    const over = () => {
      metrics.inFlight.dec()
      tell(observers, note, { method, status, headMs })
      span?.end(
        {
          'http.request.method': method,
          'http.response.status_code': status,
          ...(note.route !== undefined && { 'http.route': note.route }),
          ...(note.tenant !== undefined && { 'coditect.tenant': String(note.tenant) }),
          'coditect.request_id': note.requestId,
          'coditect.units': note.units,
          'coditect.attempts': note.attempts,
        },
        outcomeOf(note, status) >= 500,
      )
    }
    const isStream = note.class === 'outside' || headers.get('content-type') === 'text/event-stream'
    if (isStream && c.res.body !== null && method !== 'HEAD') {
      c.res = new Response(whole(c.res.body, note, over), c.res)
      return
    }
    // Hono answers HEAD as GET and drops the body, which would go on with nobody to end it.
    if (isStream) await c.res.body?.cancel()
    over()
  })

interface Answered {
  method: string
  status: number
  /** Until the answer's head was there. */
  headMs: number
}

function tell({ log, metrics }: Observers, note: RequestNote, { method, status, headMs }: Answered): void {
  const { problem, route, tenant, principal, trace, units, attempts, stages } = note
  const answered = `${Math.floor(outcomeOf(note, status) / 100)}xx`
  metrics.requests.observe({ class: note.class, status: answered }, headMs / 1_000)
  if (problem !== undefined) metrics.problems.inc({ code: problem })
  if (attempts > 0) metrics.attempts.inc(attempts)
  if (tenant !== undefined) metrics.used(tenant, units)
  log.info('request', {
    requestId: note.requestId,
    traceId: trace?.traceId,
    tenant: tenant === undefined ? undefined : String(tenant),
    principal,
    method,
    route,
    status,
    code: problem,
    units: rounded(units),
    attempts,
    ms: rounded(performance.now() - note.startedAt),
    stages: roundedEach(stages),
  })
}

/** The status of what it came to: a problem may have come after the head. */
const outcomeOf = ({ problem }: RequestNote, status: number): number =>
  problem === undefined ? status : PROBLEMS[problem].status

const rounded = (value: number): number => Math.round(value * 100) / 100

function roundedEach(stages: RequestNote['stages']): RequestNote['stages'] {
  const all: Partial<Record<Stage, number>> = {}
  for (const stage of STAGES) {
    const ms = stages[stage]
    if (ms !== undefined) all[stage] = rounded(ms)
  }
  return all
}

/** The same body; `over` is called once, when it has ended, failed, or is wanted no more. Reads nothing ahead. */
function whole(
  body: ReadableStream<Uint8Array>,
  note: RequestNote,
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
          if (!done) return controller.enqueue(value)
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
