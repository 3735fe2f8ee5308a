// What every page of the operator's has.
import type { Child } from 'hono/jsx'
import type { OperatorRole } from '../../../shared/credentials/operator_token.ts'
import type { ProblemDetails } from '../../../shared/problems.ts'
import type { Api, Refused } from '../api.ts'

export const BASE = '/platform'

export interface OperatorVisit {
  operatorId: string
  role: OperatorRole
  api: Api
  csrf: string
  /** As in the tenant’s console. */
  once?: string
  /** Where a tenant can live. */
  regions: ReadonlyArray<string>
}

export interface OperatorTypes {
  Variables: {
    visit: OperatorVisit
    form: FormData
    page: (title: string, body: Child, options?: Options) => Answer
    refuse: (refused: Refused) => Answer
    /** After a form that was not taken: draws it again, with what was typed, where that can help; refuses otherwise. */
    again: (refused: Refused, draw: () => Answer) => Answer
    /** What a form that is drawn again was not taken for. */
    problem: ProblemDetails | undefined
  }
}
interface Options {
  status?: number
  flash?: string | undefined
  /** Parts of it renew themselves. */
  live?: boolean
}
type Answer = Response | Promise<Response>
