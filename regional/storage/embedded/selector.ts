// Key selectors. `orEqual` is folded into the key first, so a selector is: the offset-th key at or after
// `key` (offset 1: the first), counting backwards from it for offsets below 1.
import { type Key, keyAfter } from './key.ts'

export interface Selector {
  key: Key
  offset: number
}

export const selector = (key: Key, orEqual: boolean, offset: number): Selector => ({
  key: orEqual ? keyAfter(key) : key,
  offset,
})

export const firstGreaterOrEqual = (key: Key): Selector => ({ key, offset: 1 })

export const isFirstGreaterOrEqual = ({ offset }: Selector): boolean => offset === 1

/** `begin` can't come before `end`, whatever the database holds. */
export const isInverted = (begin: Selector, end: Selector): boolean =>
  begin.offset >= end.offset && begin.key >= end.key
