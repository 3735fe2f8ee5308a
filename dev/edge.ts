// The edge: edge/worker.ts bundled as for Cloudflare, in workerd itself rather than in a development server.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Bindings } from '../edge/env.ts'
import type { DataDir } from './data_dir.ts'
import type { Launched } from './part.ts'
import { HOST } from './ports.ts'
import { workerdConfig } from './workerd_config.ts'

const fromHere = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
/** The executable itself: the one in `.bin` is a script around it, and would outlive a signal badly. */
const { default: WORKERD } = createRequire(import.meta.url)('workerd') as { default: string }

/** Bundles the worker and writes its configuration beside it. @returns the configuration's path. */
export async function buildEdge(dir: DataDir, bindings: ReadonlyArray<keyof Bindings>): Promise<string> {
  mkdirSync(dir.file('edge'), { recursive: true })
  await build({
    entryPoints: [fromHere('../edge/worker.ts')],
    outfile: dir.file('edge', 'worker.js'),
    bundle: true,
    format: 'esm',
    target: 'esnext',
    conditions: ['workerd', 'worker'],
    external: ['cloudflare:*'],
    logLevel: 'error',
  })
  const config = dir.file('edge', 'workerd.capnp')
  const compatibilityDate = compatibilityDateOf(readFileSync(fromHere('../wrangler.toml'), 'utf8'))
  writeFileSync(
    config,
    workerdConfig({ module: 'worker.js', compatibilityDate, bindings, network: ['local'] }),
  )
  return config
}

/** The same date here as on Cloudflare. */
function compatibilityDateOf(wranglerToml: string): string {
  const date = /^compatibility_date = "([\d-]+)"$/m.exec(wranglerToml)?.[1]
  if (date === undefined) throw new Error('wrangler.toml has no compatibility_date')
  return date
}

/**
 * Becomes workerd, and leaves a reader behind that ends it when standard input closes: workerd has no other way
 * to learn that the launcher was killed.
 */
const WITH_LIFELINE =
  'exec 4<&0 </dev/null; (read -r _; kill $$) <&4 >/dev/null 2>&1 3>&- & exec "$0" "$@" 4<&-'

/** @returns, when ready, the port it listens on. */
export function launchEdge(config: string, port: number, bindings: Bindings, log: number): Launched<number> {
  const args = ['serve', config, '--socket-addr', `http=${HOST}:${port}`, '--control-fd', '3']
  const child = spawn('/bin/sh', ['-c', WITH_LIFELINE, WORKERD, ...args], {
    env: { ...bindings },
    stdio: ['pipe', log, log, 'pipe'],
    detached: true,
  })
  child.once('exit', () => child.stdin?.destroy())
  const ready = new Promise<number>((resolve) => {
    let told = ''
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      told += chunk.toString('utf8')
      const listening = /\{"event":"listen","socket":"http","port":(\d+)\}/.exec(told)
      if (listening) resolve(Number(listening[1]))
    })
  })
  return { child, ready }
}
