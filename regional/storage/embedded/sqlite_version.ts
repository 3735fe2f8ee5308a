// Which SQLite the engine stands on: Node's own. Older ones could lose commits when the log began anew beside a reader, and
// take the question how long the log is for an order to copy it.
import { StorageError } from '../storage_error.ts'

const OLDEST = [3, 51, 3] as const

/** @throws {StorageError} */
export function checkSqlite(version: string | undefined): void {
  if (version !== undefined && isAtLeast(version.split('.').map(Number))) return
  throw new StorageError(
    `Node ${process.version} carries SQLite ${version ?? 'not at all'}, and the embedded engine needs ${OLDEST.join('.')} or newer. Start it with the Node that \`npm ci\` installs (node_modules/.bin/node), or with a newer Node.`,
  )
}

function isAtLeast(version: ReadonlyArray<number>): boolean {
  for (const [i, least] of OLDEST.entries()) {
    const part = version[i] ?? 0
    if (part !== least) return part > least
  }
  return true
}
