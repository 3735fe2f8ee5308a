// The ids of schemas, which are their names in the OpenAPI document. Two schemas of one id would both be described as the
// first of them, and the client's types would be wrong: a region does not start with them.
import { z } from 'zod'

/** @throws {RangeError} when two schemas in `parts` have one id */
export function requireUniqueIds(parts: Iterable<unknown>): void {
  const known = new Map<string, z.ZodType>()
  const seen = new Set<object>()
  // The definition of a schema holds the schemas that it is made of, in lists, records and getters.
  const look = (part: unknown): void => {
    if (typeof part !== 'object' || part === null || seen.has(part)) return
    seen.add(part)
    if (part instanceof z.ZodType) {
      const id = z.globalRegistry.get(part)?.id
      if (id !== undefined) {
        if ((known.get(id) ?? part) !== part) throw new RangeError(`two schemas have the id ${id}`)
        known.set(id, part)
      }
      if (part instanceof z.ZodLazy) look(part.def.getter())
      look(part.def)
    } else if (Array.isArray(part)) {
      for (const each of part) look(each)
    } else if (Object.getPrototypeOf(part) === Object.prototype) {
      for (const each of Object.values(part)) look(each)
    }
  }
  for (const part of parts) look(part)
}
