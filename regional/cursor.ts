// Cursors: where a list goes on. Opaque to clients; relative to one list of one tenant, so another tenant's cursor
// names nothing of theirs.
import { hash } from 'node:crypto'
import { fromBase64url, toBase64url, utf8 } from '../shared/bytes.ts'
import { Problem } from '../shared/problems.ts'

/**
 * The name of a list as it was asked for: another filter makes another list of it.
 * @param asked the query; of `limit` and `cursor` it may change from page to page
 */
export function listAsked(
  name: string,
  { limit: _, cursor: __, ...filter }: Readonly<Record<string, unknown>>,
): string {
  const text = JSON.stringify(filter)
  return text === '{}' ? name : `${name} ${hash('sha256', text, 'base64url').slice(0, 22)}`
}

/** A page of a list, as it is answered. */
export interface PageBody<T> {
  data: T[]
  nextCursor: string | null
}

/**
 * @param list names the list, so that a cursor of one is refused by another.
 * @param entries the page's entries by their ids
 * @param more whether the list goes on behind them
 */
export function pageBody<V, T>(
  list: string,
  { entries, more }: { entries: ReadonlyArray<readonly [key: readonly [string], value: V]>; more: boolean },
  show: (value: V) => T,
): PageBody<T> {
  const last = entries.at(-1)
  return {
    data: entries.map(([, value]) => show(value)),
    nextCursor: more && last !== undefined ? writeCursor(list, last[0][0]) : null,
  }
}

/**
 * A page of a list that is short, and held whole.
 * @param entries by keys that are the same from page to page, and in whose order, as text, they are listed
 * @throws {Problem} `invalid_cursor`
 */
export function pageWithin<T>(
  list: string,
  entries: ReadonlyArray<readonly [key: string, value: T]>,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): PageBody<T> {
  const [after] = readCursor(list, cursor) ?? []
  const behind = entries
    .filter(([key]) => after === undefined || key > after)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  const page = behind.slice(0, limit).map(([key, value]) => [[key], value] as const)
  return pageBody(list, { entries: page, more: behind.length > limit }, (value) => value)
}

/** @param place where the list goes on, as text that {@link readCursor} gives back */
export const writeCursor = (list: string, place: string): string =>
  toBase64url(utf8(JSON.stringify([list, place])))

/**
 * The key to go on behind.
 * @param refused of a list that goes on from other places as well
 * @throws {Problem} `invalid_cursor` for what {@link pageBody} did not give for this list
 */
export function readCursor(
  list: string,
  cursor: string | undefined,
  refused: () => Problem = invalidCursor,
): [string] | undefined {
  if (cursor === undefined) return undefined
  try {
    const parts: unknown = JSON.parse(new TextDecoder().decode(fromBase64url(cursor)))
    if (Array.isArray(parts) && parts.length === 2 && parts[0] === list && typeof parts[1] === 'string') {
      return [parts[1]]
    }
  } catch {
    // Not base64url, or not JSON: refused below like every other text.
  }
  throw refused()
}

export const invalidCursor = (): Problem =>
  new Problem('invalid_cursor', 'Use the nextCursor of this very list, unchanged.')
