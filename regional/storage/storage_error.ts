// An error that the person who starts the process can mend: one line that says what to do, no stack needed.

export class StorageError extends Error {
  override readonly name = 'StorageError'
}
