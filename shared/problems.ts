// Every problem that an answer can name: problem details of RFC 9457, told apart by a stable `code`.
import { REQUEST_ID } from './headers.ts'

interface ProblemKind {
  status: number
  title: string
}

export const PROBLEMS = {
  malformed_request: { status: 400, title: 'The request is malformed' },
  malformed_json: { status: 400, title: 'The body is not JSON' },
  invalid_cursor: { status: 400, title: 'The cursor is not one of this list' },
  conflicting_credentials: { status: 400, title: 'The request carries more than one credential' },
  credential_missing: { status: 401, title: 'The request carries no credential' },
  credential_invalid: { status: 401, title: 'The credential is not valid' },
  api_key_revoked: { status: 401, title: 'The API key was revoked' },
  api_key_expired: { status: 401, title: 'The API key has expired' },
  signed_url_expired: { status: 401, title: 'The signed URL has expired' },
  session_ended: { status: 401, title: 'The session has ended' },
  sign_in_failed: { status: 401, title: 'The identity provider did not let you in' },
  signature_invalid: { status: 401, title: 'The webhook is not signed by its source' },
  assertion_invalid: { status: 401, title: 'The request did not come through the edge' },
  not_a_member: { status: 403, title: 'The person is not a member of the organisation' },
  insufficient_scope: { status: 403, title: 'The credential does not allow this' },
  tenant_suspended: { status: 403, title: 'The organisation is suspended' },
  admin_link_elsewhere: { status: 403, title: 'The admin link is for another address' },
  tenant_mismatch: { status: 403, title: 'The request names two different organisations' },
  quota_exceeded: { status: 403, title: 'The plan allows no more of these' },
  not_found: { status: 404, title: 'There is nothing here' },
  method_not_allowed: { status: 405, title: 'The method does not exist here' },
  not_acceptable: { status: 406, title: 'The answer cannot be had in the type that was asked for' },
  body_too_slow: { status: 408, title: 'The body did not arrive in time' },
  slug_taken: { status: 409, title: 'The slug is taken' },
  project_archived: { status: 409, title: 'The project is archived' },
  unique_violation: { status: 409, title: 'Another record has this value' },
  index_building: { status: 409, title: 'The index is being built' },
  request_in_progress: { status: 409, title: 'The request is still being carried out' },
  conflict: { status: 409, title: 'The request conflicts with the present state' },
  events_expired: { status: 410, title: 'The events are not kept any more' },
  admin_link_expired: { status: 410, title: 'The admin link has expired' },
  admin_link_used: { status: 410, title: 'The admin link has been used' },
  admin_link_revoked: { status: 410, title: 'The admin link was revoked' },
  invitation_expired: { status: 410, title: 'The invitation has expired' },
  invitation_used: { status: 410, title: 'The invitation has been accepted' },
  invitation_revoked: { status: 410, title: 'The invitation was revoked' },
  sign_up_expired: { status: 410, title: 'The link to confirm has expired' },
  tenant_erased: { status: 410, title: 'The organisation was deleted' },
  model_unavailable: { status: 409, title: 'The model cannot be used' },
  precondition_failed: { status: 412, title: 'The resource has changed' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body has the wrong content type' },
  tenant_moved: { status: 421, title: 'The organisation lives in another region' },
  validation_failed: { status: 422, title: 'The request does not fit its schema' },
  index_required: { status: 422, title: 'No declared index answers this query' },
  idempotency_key_reuse: { status: 422, title: 'The idempotency key was used for another request' },
  request_head_too_large: { status: 431, title: 'The path and headers of the request are too large' },
  too_many_failures: { status: 429, title: 'Too many invalid credentials from this address' },
  too_many_streams: { status: 429, title: 'Too many streams at the same time' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Something went wrong on our side' },
  identity_provider_unavailable: { status: 503, title: 'The keys of the identity provider cannot be had' },
  mail_unavailable: { status: 503, title: 'No mail can be sent at present' },
  region_unavailable: { status: 503, title: 'The region cannot be reached' },
  limiter_unavailable: { status: 503, title: 'The rate limit cannot be checked' },
  no_model_configured: { status: 503, title: 'The platform has no model' },
  model_busy: { status: 503, title: 'Too many wait for the model' },
  deadline_exceeded: { status: 503, title: 'The request took too long' },
  overloaded: { status: 503, title: 'The region is too busy' },
  contention: { status: 503, title: 'Too many changes at the same time' },
} as const satisfies Record<string, ProblemKind>

export type ProblemCode = keyof typeof PROBLEMS

/** One thing wrong with a body: where (a JSON pointer, RFC 6901) and what. */
export interface FieldError {
  pointer: string
  detail: string
  /** Where several things went wrong in different ways: the problem that this one alone would be. */
  code?: string
}

export interface ProblemDetails {
  type: string
  title: string
  status: number
  detail: string
  code: ProblemCode
  requestId: string
  errors?: ReadonlyArray<FieldError>
}

export interface ProblemExtras {
  errors?: ReadonlyArray<FieldError>
  /** Answer headers that belong to this problem, such as `Allow` or `Retry-After`. */
  headers?: Readonly<Record<string, string>>
}

/** Thrown wherever a request must be refused; the app turns it into an answer. `detail` is for the client to read. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly detail: string
  readonly extras: ProblemExtras

  constructor(code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    super(`${code}: ${detail}`)
    this.code = code
    this.detail = detail
    this.extras = extras
  }
}

export const problemDetails = ({ code, detail, extras }: Problem, requestId: string): ProblemDetails => ({
  type: `urn:coditect:problem:${code}`,
  ...PROBLEMS[code],
  detail,
  code,
  requestId,
  ...(extras.errors && { errors: extras.errors }),
})

export function problemResponse(problem: Problem, requestId: string): Response {
  const { status } = PROBLEMS[problem.code]
  return Response.json(problemDetails(problem, requestId), {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      [REQUEST_ID]: requestId,
      ...(status === 401 && { 'www-authenticate': 'Bearer realm="coditect"' }),
      ...problem.extras.headers,
    },
  })
}
