// What is wrong with a value, in words that follow where it is: `/name is empty`. People read them beside the field of a
// form, clients as `errors[].detail`. A schema that says it better itself is not asked here.
import type { z } from 'zod'

type Issue = z.core.$ZodRawIssue

/** Of what no schema has a message of its own for. */
export function plainly(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? MISSING : `is not ${TYPES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return issue.input === undefined ? MISSING : noneOf(issue.values)
    case 'too_small':
      return tooSmall(issue)
    case 'too_big':
      return tooBig(issue)
    case 'invalid_format':
      return FORMATS[issue.format] ?? 'does not have the right form'
    case 'not_multiple_of':
      return `is not a multiple of ${issue.divisor}`
    case 'unrecognized_keys':
      return 'is not known here'
    default:
      return 'does not fit'
  }
}

/** Of a value that is to be one of these. */
export const noneOf = (values: ReadonlyArray<unknown>): string =>
  `${values.length === 1 ? 'is not' : 'is none of'} ${values.map((each) => JSON.stringify(each)).join(', ')}`

const MISSING = 'is missing'

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

export const NO_TIME = 'is not a time in UTC such as 2030-01-31T12:00:00Z'
const FORMATS: Readonly<Record<string, string>> = {
  email: 'is not an e-mail address',
  url: 'is not a URL',
  datetime: NO_TIME,
}

function tooSmall({ origin, minimum, inclusive }: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall>): string {
  const unit = UNITS[origin]
  if (unit === undefined) return inclusive ? `is less than ${minimum}` : `is not more than ${minimum}`
  return minimum === 1 ? 'is empty' : `has fewer than ${minimum} ${unit}`
}

function tooBig({ origin, maximum, inclusive }: z.core.$ZodRawIssue<z.core.$ZodIssueTooBig>): string {
  const unit = UNITS[origin]
  if (unit === undefined) return inclusive ? `is more than ${maximum}` : `is not less than ${maximum}`
  return `has more than ${maximum} ${unit}`
}

/** What the length of a value is counted in. */
const UNITS: Readonly<Record<string, string>> = { string: 'characters', array: 'entries' }
