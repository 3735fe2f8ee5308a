// The binding answers with a promise, or through a callback if it was given one.
import type { Callback } from '../foundationdb.ts'

export function deliver<T>(promise: Promise<T>, cb: Callback<T> | undefined): Promise<T> | undefined {
  if (!cb) return promise
  promise.then(
    (value) => cb(null, value),
    (error) => cb(error),
  )
  return undefined
}
