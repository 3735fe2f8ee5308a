// Which keys exist and how long they and their values may be (FoundationDB's limits on both).
import { code, fdbError } from './errors.ts'
import { DATABASE_END, type Key, SPECIAL_END, USER_END } from './key.ts'
import { KEY_SIZE_LIMIT, SYSTEM_KEY_SIZE_LIMIT, VALUE_SIZE_LIMIT } from './limits.ts'

export const isSpecial = (key: Key): boolean => key >= DATABASE_END && key < SPECIAL_END

export const isTooLong = (key: Key): boolean =>
  key.length > KEY_SIZE_LIMIT && (!key.startsWith(USER_END) || key.length > SYSTEM_KEY_SIZE_LIMIT)

/** No key is longer than the limit, so a longer end of a range means the same as its beginning. */
export function cut(key: Key): Key {
  if (!isTooLong(key)) return key
  return key.slice(0, (key.startsWith(USER_END) ? SYSTEM_KEY_SIZE_LIMIT : KEY_SIZE_LIMIT) + 1)
}

export function checkSizes(key: Key, value: Buffer): void {
  if (isTooLong(key)) throw fdbError(code.keyTooLarge)
  if (value.length > VALUE_SIZE_LIMIT) throw fdbError(code.valueTooLarge)
}
