// The edge's entry: reads this isolate's bindings once, so that a wrong one stops the start and no request waits.
import { env } from 'cloudflare:workers'
import { readBindings } from './env.ts'
import { createEdge } from './pipeline.ts'

const edge = createEdge(await readBindings(env))

export default { fetch: (request) => edge.fetch(request) } satisfies ExportedHandler
