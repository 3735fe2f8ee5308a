// A workerd configuration for the edge, in Cap'n Proto's text form. Bindings come from workerd's environment,
// so that no secret lies in a file.

export interface WorkerdConfig {
  /** The bundled worker, relative to the configuration's own file. */
  module: string
  compatibilityDate: string
  compatibilityFlags: ReadonlyArray<string>
  /** Names of environment variables that the worker sees under the same name. */
  bindings: ReadonlyArray<string>
  /** What it sees wherever this configuration runs, by name; no secret. */
  texts?: Readonly<Record<string, string>> | undefined
  /** What the worker may connect to: `public`, `private`, `local`, or blocks of addresses. */
  network: ReadonlyArray<string>
  /** Durable Objects of the worker's own classes, if it has any. */
  objects?: DurableObjects | undefined
}

export interface DurableObjects {
  /** By the name of the binding: the class, as the module exports it. */
  classes: Readonly<Record<string, string>>
  /** Absolute path of a folder that is there: what they store outlives the process. */
  folder: string
}

/**
 * Of V8, in MiB, for objects that have just been made. workerd's own objects (requests, headers, streams) outlive the quick
 * collections of these, and are destroyed all together by the next thorough one, while nobody is answered. With V8's usual
 * size that is after some ten thousand requests and takes 80 to 140 ms; with this one, after three thousand and 25 ms.
 */
const SEMI_SPACE_MIB = 2

/** Listens on the socket `http`, whose address workerd is given with `--socket-addr`. */
export function workerdConfig(worker: WorkerdConfig): string {
  const { module, compatibilityDate, compatibilityFlags, bindings, texts = {}, network, objects } = worker
  const list = (items: ReadonlyArray<string>) => `[${items.join(', ')}]`
  const bindingList = list([
    ...bindings.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
    ...Object.entries(texts).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    ...Object.entries(objects?.classes ?? {}).map(
      ([name, className]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`,
    ),
  ])
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = (
      modules = [(name = "worker.js", esModule = embed ${text(module)})],
      compatibilityDate = ${text(compatibilityDate)},
      compatibilityFlags = ${list(compatibilityFlags.map(text))},
      bindings = ${bindingList},${objects ? durableObjects(objects, list) : ''}
    )),
    (name = "internet", network = (allow = ${list(network.map(text))}, tlsOptions = (trustBrowserCas = true))),${objects ? `\n    (name = "objects", disk = (path = ${text(objects.folder)}, writable = true)),` : ''}
  ],
  v8Flags = ["--max-semi-space-size=${SEMI_SPACE_MIB}"],
  sockets = [(name = "http", http = (), service = "edge")],
);
`
}

/** SQLite-backed. The key is part of the path on disk: another one would lose what is stored. */
const durableObjects = (
  { classes }: DurableObjects,
  list: (items: ReadonlyArray<string>) => string,
): string => `
      durableObjectNamespaces = ${list(
        Object.values(classes).map(
          (name) => `(className = ${text(name)}, uniqueKey = ${text(name)}, enableSql = true)`,
        ),
      )},
      durableObjectStorage = (localDisk = "objects"),`

/** Cap'n Proto's strings escape as JSON's do, for all that a path or a name holds. */
const text = (value: string): string => JSON.stringify(value)
