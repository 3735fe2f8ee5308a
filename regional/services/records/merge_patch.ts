// JSON Merge Patch (RFC 7396): what a patch makes of a document. Pure. Both are at most as deep as documents may be.
import { isDocument, type Json } from './document.ts'

export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isDocument(patch)) return patch
  // A map, and entries at the end: a field called __proto__ is a field like any other.
  const merged = new Map(isDocument(target) ? Object.entries(target) : [])
  for (const [field, change] of Object.entries(patch)) {
    if (change === null) merged.delete(field)
    else merged.set(field, mergePatch(merged.get(field), change))
  }
  return Object.fromEntries(merged)
}
