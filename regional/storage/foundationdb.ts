// The npm package `foundationdb`, without its binding. The package loads its native binding as soon as it is
// imported, and throws where libfdb_c is missing; so a stand-in for its `native.js` is put into the module
// cache first, and the real binding is loaded only when a cluster is opened. This is the one file that imports
// the package, and the one module with side effects on import: nobody can see the package without them.
import { createRequire, Module } from 'node:module'
import { dirname, join } from 'node:path'
import type * as Package from 'foundationdb'
import type { NativeDatabase, NativeModule, NativeValue } from 'foundationdb/dist/lib/native.js'
import { errorPredicate } from './embedded/error_codes.ts'

export type {
  Callback,
  KVList,
  NativeDatabase,
  NativeModule,
  NativeTransaction,
  NativeValue,
  Version,
  Watch,
} from 'foundationdb/dist/lib/native.js'

/**
 * Every buffer has memory of its own. Node would cut short ones out of slabs that all tenants share: a service that writes
 * `document.buffer` for `document` would read what passed by for others, or change what they are about to commit. It is
 * set here because nothing of a tenant's can be read or written before this module is loaded.
 */
Buffer.poolSize = 0

const require = createRequire(import.meta.url)
const nativePath = require.resolve('foundationdb/dist/lib/native.js')

/** What `fdb.open()` of the package opens, for its own test suite; our code never calls that. */
let opener: ((clusterFile?: string) => NativeDatabase) | undefined
export function setOpener(open: (clusterFile?: string) => NativeDatabase): void {
  opener = open
}

const standIn: NativeModule = {
  setAPIVersion: () => {},
  setAPIVersionImpl: () => {},
  startNetwork: () => {},
  stopNetwork: () => {},
  setNetworkOption: () => {},
  createDatabase: (clusterFile) => {
    if (!opener) throw new Error('open a database with openEngine() of regional/storage/open.ts')
    return opener(clusterFile)
  },
  errorPredicate,
}

const stub = new Module(nativePath)
stub.filename = nativePath
stub.loaded = true
stub.exports = {
  __esModule: true,
  default: standIn,
  type: 'napi',
  ErrorPredicate: { Retryable: 50000, MaybeCommitted: 50001, RetryableNotCommitted: 50002 },
}
require.cache[nativePath] = stub

// Boundary: CommonJS, typed by the package's own declarations.
const fdb = require('foundationdb') as typeof import('foundationdb')

export const { Database, Transaction, Subspace, DirectoryLayer, FDBError } = fdb
export const { tuple, encoders, keySelector, root, util } = fdb
export const { DatabaseOptionCode, MutationType, StreamingMode, TransactionOptionCode } = fdb

export type Database<
  KeyIn = NativeValue,
  KeyOut = Buffer,
  ValIn = NativeValue,
  ValOut = Buffer,
> = Package.Database<KeyIn, KeyOut, ValIn, ValOut>
export type Transaction<
  KeyIn = NativeValue,
  KeyOut = Buffer,
  ValIn = NativeValue,
  ValOut = Buffer,
> = Package.Transaction<KeyIn, KeyOut, ValIn, ValOut>
export type Subspace<
  KeyIn = NativeValue,
  KeyOut = Buffer,
  ValIn = NativeValue,
  ValOut = Buffer,
> = Package.Subspace<KeyIn, KeyOut, ValIn, ValOut>
export type FDBError = Package.FDBError
export type MutationType = Package.MutationType
export type StreamingMode = Package.StreamingMode
export type TransactionOptionCode = Package.TransactionOptionCode
export type { KeySelector, TransactionOptions, TupleItem } from 'foundationdb'

const options = require('foundationdb/dist/lib/opts.g.js') as typeof import('foundationdb/dist/lib/opts.g.js')
/** Name, code and kind of value of every transaction option. */
export const { transactionOptionData } = options

const apiVersion = require('foundationdb/dist/lib/apiVersion.js') as {
  get(): number | null
  set(version: number): void
}

/** The package's own notion of its API version, which decides how it packs stamps; the first call counts. */
export function selectApiVersion(version: number): void {
  if (apiVersion.get() === null) apiVersion.set(version)
}

/** The real binding. Throws where libfdb_c is missing. */
export function loadBinding(): NativeModule {
  const packageRoot = dirname(require.resolve('foundationdb/package.json'))
  const binding = createRequire(join(packageRoot, 'package.json'))('node-gyp-build')(packageRoot)
  // The binding makes its errors with the class it finds here.
  binding.FDBError = FDBError
  return binding
}
