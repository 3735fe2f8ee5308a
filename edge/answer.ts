// The last look at every answer: the request's id, what the stages have to say, who may read it, and what keeps a
// browser from reading more into it. A region's answer is made in one go, because native headers are slow to change.
import { REQUEST_ID } from '../shared/headers.ts'
import type { RequestContext } from './context.ts'
import { corsFields } from './cors.ts'
import { strippedAnswerHeaders } from './forward/strip.ts'
import { alwaysSaid, UNLESS_SAID } from './security_headers.ts'

/** A region's answer as the client sees it. */
export function answerOfRegion(
  context: RequestContext,
  { body, status, headers }: Response,
  publicOrigin: string,
): Response {
  const { fields, cookies } = strippedAnswerHeaders(headers)
  const said = { ...UNLESS_SAID, ...fields }
  const answer = new Response(body, {
    status,
    headers: Object.assign(said, own(context, said, publicOrigin)),
  })
  for (const cookie of cookies) answer.headers.append('set-cookie', cookie)
  return answer
}

/** An answer of the edge's own. */
export function ownAnswer(context: RequestContext, answer: Response, publicOrigin: string): Response {
  const { headers } = answer
  for (const [name, value] of Object.entries(UNLESS_SAID)) if (!headers.has(name)) headers.set(name, value)
  const said = { vary: headers.get('vary') ?? undefined }
  for (const [name, value] of Object.entries(own(context, said, publicOrigin))) headers.set(name, value)
  return answer
}

function own(
  { requestId, fields, shared, headers, identity, snapshot, lastSnapshot }: RequestContext,
  { vary }: { vary?: string | undefined },
  publicOrigin: string,
): Record<string, string> {
  return {
    ...alwaysSaid(publicOrigin),
    ...fields,
    ...(shared && corsFields(headers.get('origin'), identity === undefined, snapshot ?? lastSnapshot, vary)),
    [REQUEST_ID]: requestId,
  }
}
