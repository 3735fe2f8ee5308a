// A workerd configuration for the edge, in Cap'n Proto's text form. Bindings come from workerd's environment,
// so that no secret lies in a file.

export interface WorkerdConfig {
  /** The bundled worker, relative to the configuration's own file. */
  module: string
  compatibilityDate: string
  /** Names of environment variables that the worker sees under the same name. */
  bindings: ReadonlyArray<string>
  /** What the worker may connect to: `public`, `private`, `local`, or blocks of addresses. */
  network: ReadonlyArray<string>
}

/** Listens on the socket `http`, whose address workerd is given with `--socket-addr`. */
export function workerdConfig({ module, compatibilityDate, bindings, network }: WorkerdConfig): string {
  const list = (items: ReadonlyArray<string>) => `[${items.join(', ')}]`
  const bindingList = list(bindings.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`))
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = (
      modules = [(name = "worker.js", esModule = embed ${text(module)})],
      compatibilityDate = ${text(compatibilityDate)},
      bindings = ${bindingList},
    )),
    (name = "internet", network = (allow = ${list(network.map(text))}, tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", http = (), service = "edge")],
);
`
}

/** Cap'n Proto's strings escape as JSON's do, for all that a path or a name holds. */
const text = (value: string): string => JSON.stringify(value)
