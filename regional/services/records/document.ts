// Documents: JSON objects, as a client gave them. What could not be given back as it came, or could be told apart from
// another only outside of UTF-8, is refused here. Pure; no recursion, since what is nested was sent by a stranger.
import type { FieldError } from '../../../shared/problems.ts'
import { jsonPointer } from '../../tenancy/service.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Document = { [key: string]: Json }

export const MAX_DOCUMENT_BYTES = 1024 * 1024
const MAX_DEPTH = 64

export const isDocument = (value: unknown): value is Document =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What is wrong with a value that was parsed from JSON, or undefined. */
export function documentFault(root: unknown): FieldError | undefined {
  const waiting: Array<{ value: unknown; path: Path | undefined; depth: number }> = [
    { value: root, path: undefined, depth: 1 },
  ]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { value, path, depth } = next
    const fault = (detail: string): FieldError => ({ pointer: jsonPointer(itemsOf(path)), detail })
    if (typeof value === 'string') {
      if (!value.isWellFormed()) return fault('has a lone surrogate: it is no Unicode text')
    } else if (typeof value === 'number') {
      if (!Number.isFinite(value)) return fault('is beyond the range of numbers (IEEE 754 double precision)')
    } else if (typeof value === 'object' && value !== null) {
      if (depth > MAX_DEPTH) return fault(`is nested more than ${MAX_DEPTH} deep`)
      for (const [key, inner] of Object.entries(value)) {
        if (!key.isWellFormed()) return fault('has a field whose name is no Unicode text')
        waiting.push({ value: inner, path: { item: key, above: path }, depth: depth + 1 })
      }
    }
  }
  return undefined
}

/** A path as a list from its end, so that a step down costs one small object. */
interface Path {
  item: string
  above: Path | undefined
}

function itemsOf(path: Path | undefined): string[] {
  const items: string[] = []
  for (let at = path; at !== undefined; at = at.above) items.push(at.item)
  return items.reverse()
}
