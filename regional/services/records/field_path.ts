// Field paths: `address.city` names a field of an object inside the document. Not into arrays, and not fields whose own
// names have a dot. Pure.
import type { Document, Json } from './document.ts'

const MAX_PATH_LENGTH = 200
const SEGMENT = /^[^.[\]\p{Cc}]+$/u

export const isFieldPath = (text: string): boolean =>
  text.length <= MAX_PATH_LENGTH &&
  text.isWellFormed() &&
  text.split('.').every((segment) => SEGMENT.test(segment))

/** What stands there, or undefined. Only what the document itself has: `constructor` is not a field unless it was sent. */
export function valueAt(document: Document, path: string): Json | undefined {
  let value: Json | undefined = document
  for (const segment of path.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    value = Object.hasOwn(value, segment) ? value[segment] : undefined
  }
  return value
}
