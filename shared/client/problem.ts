// What a call comes to when it is not answered as asked.
import type { FieldError, ProblemCode, ProblemDetails } from '../problems.ts'

/** The platform refused: a problem document (RFC 9457). Told apart by `code`. */
export class CoditectProblem extends Error {
  override readonly name = 'CoditectProblem'
  readonly status: number
  readonly code: ProblemCode
  readonly detail: string
  readonly requestId: string
  /** Where in the body something is wrong. */
  readonly errors: ReadonlyArray<FieldError>

  constructor(status: number, problem: ProblemBody) {
    super(`${problem.code}: ${problem.detail}`)
    this.status = status
    this.code = problem.code
    this.detail = problem.detail
    this.requestId = problem.requestId
    this.errors = problem.errors ?? []
  }
}

type ProblemBody = Pick<ProblemDetails, 'code' | 'detail' | 'requestId' | 'errors'>

/** There was no answer, or none of the platform's: the network, a proxy, or the deadline. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  /** Another place was named. Asked again, this one would name it again. */
  readonly leadsElsewhere: boolean

  constructor(message: string, { leadsElsewhere = false, ...options }: ConnectionErrorOptions = {}) {
    super(message, options)
    this.leadsElsewhere = leadsElsewhere
  }
}

interface ConnectionErrorOptions extends ErrorOptions {
  leadsElsewhere?: boolean
}

export const isProblemBody = (body: unknown): body is ProblemBody =>
  typeof body === 'object' && body !== null && 'code' in body && 'detail' in body && 'requestId' in body

/**
 * A problem that stands where a result would: the head of an answer had gone out when it came. Its type tells it from every
 * result.
 */
export const isLateProblem = (body: unknown): body is ProblemDetails =>
  isProblemBody(body) && 'type' in body && String(body.type).startsWith('urn:coditect:problem:')

/** Refusals that another time may not be. */
const AGAIN = new Set([429, 502, 503, 504])

/** Whether the same request was sent before, and is not over yet. */
export const isUnderWay = (error: unknown): boolean =>
  error instanceof CoditectProblem && error.code === 'request_in_progress'

/** Whether the same may be answered another time: no waiting gives the platform a model. */
export function mayPass(error: unknown): boolean {
  if (error instanceof ConnectionError) return !error.leadsElsewhere
  if (!(error instanceof CoditectProblem) || error.code === 'no_model_configured') return false
  return AGAIN.has(error.status) || isUnderWay(error)
}

/** What went wrong at the bottom of it, in words: runtimes wrap it in errors that say nothing. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return reasonOf(error.cause)
  return error.message || ('code' in error ? String(error.code) : error.name)
}
