// The answer of work that outlives its transaction. Its head goes out at once, so that nobody on the way gives up waiting;
// the body follows, as events for a client that asked for a stream and as one JSON text for any other.
import type { Context } from 'hono'
import { stream, streamSSE } from 'hono/streaming'
import type { StatusCode } from 'hono/utils/http-status'
import type { StreamingApi } from 'hono/utils/stream'
import { REQUEST_ID } from '../shared/headers.ts'
import { Problem, type ProblemCode, type ProblemDetails, problemDetails } from '../shared/problems.ts'
import { bounded } from './bounded_errors.ts'
import type { Reply } from './operation.ts'
import type { Begin, Outside } from './tenancy/outside.ts'

/** Shows those on the way that the connection lives, and this side when it does not. */
const HEARTBEAT_MS = 10_000

interface Shown {
  /** Of an answer whose work has just begun. */
  status: number
  /** Whether the client asked for a stream. */
  events: boolean
  requestId: string
  /** Told of what is nobody's fault but ours. */
  report: (error: unknown) => void
  /** Told how work ended whose answer had begun as if all were well. */
  failed: (code: ProblemCode) => void
}

export function answerOutside(c: Context, begin: Begin, shown: Shown): Response {
  const headers = {
    [REQUEST_ID]: shown.requestId,
    'cache-control': 'no-store',
    ...(begin.outcome === 'begun' ? begin.headers : begin.reply.headers),
  }
  const { events } = shown
  if (begin.outcome === 'replayed' && !events) {
    return Response.json(begin.reply.body, { status: begin.reply.status, headers })
  }
  c.status((begin.outcome === 'replayed' ? begin.reply.status : shown.status) as StatusCode)
  for (const [name, value] of Object.entries(headers)) c.header(name, value)
  // nginx would otherwise gather it, head and all, until an edge gives up waiting.
  c.header('x-accel-buffering', 'no')
  if (events) {
    return streamSSE(c, async (out) => {
      const send = (event: string, data: unknown) => out.writeSSE({ event, data: JSON.stringify(data) })
      const reply = await ending(out, begin, shown, { send, heartbeat: ': \n\n' })
      await ('problem' in reply ? send('error', reply.problem) : send('done', reply.body))
    })
  }
  c.header('content-type', 'application/json')
  return stream(c, async (out) => {
    // White space before a JSON text means nothing (RFC 8259 section 2).
    const reply = await ending(out, begin, shown, { send: async () => {}, heartbeat: ' ' })
    // The head is out, so that a problem can only be told in the body.
    await out.write(JSON.stringify('problem' in reply ? reply.problem : reply.body))
  })
}

/** How it ended; never rejects. */
async function ending(
  out: StreamingApi,
  begin: Begin,
  { requestId, report, failed }: Shown,
  { send, heartbeat }: { send: Outside['send']; heartbeat: string },
): Promise<Reply | { problem: ProblemDetails }> {
  if (begin.outcome === 'replayed') return begin.reply
  const gone = new AbortController()
  out.onAbort(() => gone.abort())
  const beating = setInterval(() => void out.write(heartbeat), HEARTBEAT_MS)
  try {
    const settled = await begin.finish({ gone: gone.signal, send })
    if (settled.interrupted) failed('region_unavailable')
    return settled
  } catch (error) {
    const isProblem = error instanceof Problem
    if (!isProblem) report(error)
    const problem = isProblem
      ? error
      : new Problem('internal', 'Try again; if it stays, tell us the request id.')
    failed(problem.code)
    return { problem: problemDetails(bounded(problem), requestId) }
  } finally {
    clearInterval(beating)
  }
}
