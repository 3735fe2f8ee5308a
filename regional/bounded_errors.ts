// Errors of a body repeat names that a client chose: many errors of one that is long would be an answer of many times its
// request.
import { Problem } from '../shared/problems.ts'

const MAX_ERRORS = 100
const MAX_ERROR_LENGTH = 500

/** The problem as a client is told it. */
export function bounded(problem: Problem): Problem {
  const { code, detail, extras } = problem
  if (extras.errors === undefined) return problem
  const errors = extras.errors
    .slice(0, MAX_ERRORS)
    .map((error) => ({ ...error, pointer: cut(error.pointer), detail: cut(error.detail) }))
  return new Problem(code, detail, { ...extras, errors })
}

const cut = (text: string): string =>
  text.length <= MAX_ERROR_LENGTH ? text : `${text.slice(0, MAX_ERROR_LENGTH).toWellFormed()}…`
