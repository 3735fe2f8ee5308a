// The real edge in workerd for tests, beside regions that run in the test's own process.
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EDGE_ENTRY, EDGE_OBJECTS, EDGE_TEXTS } from '../../dev/edge.ts'
import { buildWorker, launchWorkerd } from '../../dev/workerd.ts'
import type { Bindings } from '../../edge/env.ts'

const BINDINGS: ReadonlyArray<keyof Bindings> = [
  'PUBLIC_ORIGIN',
  'REGIONS',
  'CONTROL_REGION',
  'ASSERTION_KEYS',
  'SIGNING_ROOTS',
  'OPERATORS',
  'LIMITS',
]

interface Started {
  /** The module with the fetch handler, in `test/edge`; the edge's own, unless it is said. */
  entry?: string
}

/** @param environment a region's own: it says all that an edge has to know */
export async function startRawEdge(
  environment: Record<string, string>,
  { entry }: Started = {},
): Promise<{ url: string; pid: number; stop(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'coditect-edge-'))
  const config = await buildWorker({
    entry: entry === undefined ? EDGE_ENTRY : fileURLToPath(new URL(`../edge/${entry}`, import.meta.url)),
    folder,
    bindings: BINDINGS,
    texts: EDGE_TEXTS,
    objects: { classes: EDGE_OBJECTS, folder: join(folder, 'objects') },
  })
  const log = openSync(join(folder, 'edge.log'), 'a')
  const variables = { ...environment, PUBLIC_ORIGIN: 'https://api.test' }
  const { child, ready } = launchWorkerd({ config, port: 0, environment: variables, log })
  return {
    url: `http://127.0.0.1:${await ready}`,
    pid: child.pid ?? 0,
    stop() {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
