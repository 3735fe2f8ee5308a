// The edge for machines of one's own: the bundle that Cloudflare gets, behind proxies that are trusted, with a
// configuration for workerd beside it.
//
//   npx node deploy/workerd/build.ts build/edge --objects /var/lib/coditect-edge --network 10.20.0.0/16
//   "$(node -p "require('workerd').default")" serve build/edge/workerd.capnp --socket-addr http=0.0.0.0:8787
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { EDGE_BINDINGS, EDGE_OBJECTS, EDGE_TEXTS, OWN_EDGE_BINDINGS, OWN_EDGE_ENTRY } from '../../dev/edge.ts'
import { bundleWorker, compatibility } from '../../dev/workerd.ts'
import { workerdConfig } from '../../dev/workerd_config.ts'

/** For a developer's machine and for benchmarks alone. */
const NOT_HERE: ReadonlySet<string> = new Set(['LIMITS', 'DEVELOPMENT_ISSUERS'])

const USAGE = `Usage: npx node deploy/workerd/build.ts FOLDER [--objects FOLDER] [--network BLOCK]…

  FOLDER      where bundle and configuration go
  --objects   where tenants' rate limits are kept, on the machine that runs it (/var/lib/coditect-edge)
  --network   addresses of the regions, where they are not public: a block such as 10.20.0.0/16; may be repeated`

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    objects: { type: 'string', default: '/var/lib/coditect-edge' },
    network: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
})
const [folder] = positionals
if (values.help || folder === undefined || positionals.length > 1) {
  process.stderr.write(`${USAGE}\n`)
  process.exit(values.help ? 0 : 2)
}
mkdirSync(folder, { recursive: true })
await bundleWorker(OWN_EDGE_ENTRY, join(folder, 'worker.js'))
const config = join(folder, 'workerd.capnp')
writeFileSync(
  config,
  workerdConfig({
    module: 'worker.js',
    ...compatibility(),
    bindings: [...EDGE_BINDINGS.filter((name) => !NOT_HERE.has(name)), ...OWN_EDGE_BINDINGS],
    texts: EDGE_TEXTS,
    objects: { classes: EDGE_OBJECTS, folder: resolve(values.objects) },
    // Nothing else: keys of tenants' issuers are fetched, too, and those must be public (docs/isolation.md).
    network: ['public', ...values.network],
  }),
)
process.stdout.write(`${config}\n`)
