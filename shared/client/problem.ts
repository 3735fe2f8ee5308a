// What a call comes to when it is not answered as asked.
import type { FieldError, ProblemCode } from '../problems.ts'

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

interface ProblemBody {
  code: ProblemCode
  detail: string
  requestId: string
  errors?: ReadonlyArray<FieldError>
}

/** There was no answer, or none of the platform's: the network, a proxy, or the deadline. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
}

export const isProblemBody = (body: unknown): body is ProblemBody =>
  typeof body === 'object' && body !== null && 'code' in body && 'detail' in body && 'requestId' in body
