// Opens the database: a FoundationDB cluster where a cluster file is given, the embedded engine otherwise.
// Everything above gets the same native interface from both: `new Database(engine.native, root)`.
import { openCluster } from './cluster.ts'
import { openEmbedded } from './embedded/engine.ts'
import { DatabaseOptionCode, type NativeDatabase, selectApiVersion } from './foundationdb.ts'
import { StorageError, type WriteFailure } from './storage_error.ts'

export { StorageError, type WriteFailure } from './storage_error.ts'

const API_VERSION = 720
/** The most that a database may be told. Its own limit, 10,000, is used up by 5,000 tenants that somebody follows. */
const MAX_WATCHES = 1_000_000

export interface Engine {
  readonly kind: 'cluster' | 'embedded'
  readonly native: NativeDatabase
  /**
   * Has all that was cleared leave the files soon, copies that were left behind included. A cluster's files are not ours: there
   * it does nothing.
   */
  overwriteCleared(): void
  close(): Promise<void>
}

export interface EngineOptions {
  clusterFile?: string
  dataDir?: string
  /** Told of commits that the embedded engine could not write; a cluster looks after its own disks. */
  onWriteFailure?: (failure: WriteFailure) => void
}

/** Throws StorageError, whose message says in one line what to do, for what the person who starts it can mend. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  selectApiVersion(API_VERSION)
  const engine = await openEither(options)
  engine.native.setOption(DatabaseOptionCode.MaxWatches, MAX_WATCHES)
  return engine
}

async function openEither({ clusterFile, dataDir, ...told }: EngineOptions): Promise<Engine> {
  if (clusterFile) return openCluster(clusterFile)
  if (!dataDir) throw new StorageError('Set FDB_CLUSTER_FILE to a cluster file, or DATA_DIR to a directory.')
  const engine = await openEmbedded({ dataDir, ...told })
  const { overwriteCleared, close } = engine
  return { kind: 'embedded', native: engine.database(), overwriteCleared, close }
}
