// What records take of the tenant's storage.
import type { RecordsTransaction } from './collections.ts'

export async function takeBytes(_tx: RecordsTransaction, _bytes: number): Promise<void> {}
