// Opens the database: a FoundationDB cluster where a cluster file is given, the embedded engine otherwise.
// Everything above gets the same native interface from both: `new Database(engine.native, root)`.
import { openCluster } from './cluster.ts'
import { openEmbedded } from './embedded/engine.ts'
import { type NativeDatabase, selectApiVersion } from './foundationdb.ts'
import { StorageError } from './storage_error.ts'

export { StorageError } from './storage_error.ts'

const API_VERSION = 720

export interface Engine {
  readonly kind: 'cluster' | 'embedded'
  readonly native: NativeDatabase
  close(): Promise<void>
}

/** Throws StorageError, whose message says in one line what to do, for what the person who starts it can mend. */
export async function openEngine(options: { clusterFile?: string; dataDir?: string }): Promise<Engine> {
  selectApiVersion(API_VERSION)
  if (options.clusterFile) return openCluster(options.clusterFile)
  if (!options.dataDir)
    throw new StorageError('Set FDB_CLUSTER_FILE to a cluster file, or DATA_DIR to a directory.')
  const engine = await openEmbedded({ dataDir: options.dataDir })
  return { kind: 'embedded', native: engine.database(), close: engine.close }
}
