// One spelling of each path. Whoever routes by a path may decode escapes first (Hono does), so whoever else reads it must not
// find another path than that one. RFC 3986 section 6.2.2.2 holds escapes of unreserved characters for the same as those
// characters, and says that nobody should write them; so here nobody may.

const ESCAPE = /%([\da-f]{2})/gi
/** RFC 3986 section 2.3. */
const UNRESERVED = /[\w\-.~]/

/** Whether no character of it is escaped that never has to be. */
export function isPlainlySpelled(path: string): boolean {
  if (!path.includes('%')) return true
  for (const [, hex = ''] of path.matchAll(ESCAPE)) {
    if (UNRESERVED.test(String.fromCharCode(Number.parseInt(hex, 16)))) return false
  }
  return true
}
