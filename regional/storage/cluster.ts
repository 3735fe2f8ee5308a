// The cluster path: the package's real binding over libfdb_c. The network thread runs once a process and can't
// be restarted, so it stays up until the process ends.
import { existsSync } from 'node:fs'
import { loadBinding, type NativeModule } from './foundationdb.ts'
import type { Engine } from './open.ts'
import { StorageError } from './storage_error.ts'

const API_VERSION = 720
/** What a 7.1 client knows. The prebuilt binding asks for header version 720, so it must be told this one. */
const OLDER_API_VERSION = 710
const API_VERSION_NOT_SUPPORTED = 2203

let network: NativeModule | undefined
let openDatabases = 0

export function openCluster(clusterFile: string): Engine {
  if (!existsSync(clusterFile))
    throw new StorageError(
      `The cluster file ${clusterFile} does not exist. Set FDB_CLUSTER_FILE to the path of a cluster file.`,
    )
  network ??= startNetwork()
  const native = network.createDatabase(clusterFile)
  openDatabases++
  return {
    kind: 'cluster',
    native,
    overwriteCleared() {},
    async close() {
      native.close()
      openDatabases--
    },
  }
}

function startNetwork(): NativeModule {
  const binding = bindingOrAdvice()
  agreeOnApiVersion(binding)
  binding.startNetwork()
  process.on('exit', (exitCode) => {
    // The binding waits for its thread, which waits until its answers are taken: a process that gives up would never end.
    if (exitCode === 0 || openDatabases === 0) binding.stopNetwork()
  })
  return binding
}

function bindingOrAdvice(): NativeModule {
  try {
    return loadBinding()
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new StorageError(
      `The FoundationDB client library could not be loaded (${reason}). Install the foundationdb-clients package 7.3 from https://github.com/apple/foundationdb/releases, or unset FDB_CLUSTER_FILE to use the embedded engine.`,
    )
  }
}

/** A 7.3 client speaks 720, a 7.1 client 710. @throws {StorageError} for an older one. */
export function agreeOnApiVersion(binding: Pick<NativeModule, 'setAPIVersion' | 'setAPIVersionImpl'>): void {
  try {
    binding.setAPIVersion(API_VERSION)
    return
  } catch (error) {
    if (!isUnsupported(error)) throw error
  }
  try {
    binding.setAPIVersionImpl(OLDER_API_VERSION, OLDER_API_VERSION)
  } catch (error) {
    if (!isUnsupported(error)) throw error
    throw new StorageError(
      'The FoundationDB client library is too old. Install the foundationdb-clients package 7.3 (7.1 is the oldest that works) from https://github.com/apple/foundationdb/releases.',
    )
  }
}

const isUnsupported = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === API_VERSION_NOT_SUPPORTED
