// What every command has: who asks, and what it says. A command asks for both when it runs, so that `--help` needs neither.
import { readFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { InvalidArgumentError } from 'commander'
import type { Coditect } from '../../shared/client/index.ts'
import type { Output } from '../output.ts'
import { UsageError } from '../profile.ts'

export interface Asking {
  client: Coditect
  output: Output
}
export type Ask = () => Asking

/** An option that may be given several times. One that takes all that follows would take arguments, too. */
export const several = (typed: string, before: ReadonlyArray<string> = []): ReadonlyArray<string> => [
  ...before,
  typed,
]

/**
 * What was typed, the content of a file with `@name`, or standard input with `-`.
 * @throws {UsageError} for what cannot be read, or is not UTF-8: other letters would stand for those that are none
 */
export async function given(typed: string): Promise<string> {
  if (typed === '-') return textOf(await buffer(process.stdin), 'standard input')
  if (!typed.startsWith('@')) return typed
  const name = typed.slice(1)
  return textOf(contentOf(name), name)
}

function contentOf(file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`)
  }
}

/** Without the mark that some editors put before it. */
function textOf(bytes: Uint8Array, from: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UsageError(`${from} is not UTF-8`)
  }
}

/** @throws {UsageError} for what is no JSON object */
export async function jsonFrom(typed: string): Promise<Record<string, unknown>> {
  const read = await given(typed)
  try {
    const value: unknown = JSON.parse(read)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>
    }
  } catch {
    // Told below.
  }
  throw new UsageError('the data is not a JSON object')
}

export function wholeNumber(typed: string): number {
  const value = Number(typed)
  if (/^\d+$/.test(typed) && Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('It is not a whole number.')
}

/** An empty one would be no condition: a script whose variable is empty would change what it did not mean to. */
export function etag(typed: string): string {
  if (/^(?:\*|(?:W\/)?"[\x21\x23-\x7e]*")$/.test(typed)) return typed
  throw new InvalidArgumentError(
    typed.trim() === ''
      ? 'It is empty.'
      : 'An ETag stands in quotation marks, which a shell takes away: \'"3"\'.',
  )
}

/** The first ones of a list; it is asked for no further. */
export async function* atMost<T>(list: AsyncIterable<T>, limit: number | undefined): AsyncGenerator<T> {
  let left = limit ?? Number.POSITIVE_INFINITY
  if (left === 0) return
  for await (const thing of list) {
    yield thing
    if (--left === 0) return
  }
}
