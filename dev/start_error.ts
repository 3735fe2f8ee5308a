/** Why the stack can't start, as the one line that whoever started it gets to read. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

/** What an unexpected value says for itself. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
