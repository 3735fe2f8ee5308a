// An error that the person who starts the process can mend: one line that says what to do, no stack needed.

export class StorageError extends Error {
  override readonly name = 'StorageError'
}

/** Why commits were not written, or something could not be read. */
export interface WriteFailure {
  message: string
  /** Nothing of them is stored, and later ones may be. Otherwise nobody knows, and no other is taken until a new start. */
  rolledBack: boolean
  /** The file itself is not what was written: only a backup mends that. */
  damaged?: boolean
}
