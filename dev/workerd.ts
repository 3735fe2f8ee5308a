// A worker in workerd itself, rather than in a development server: bundled and dated as for Cloudflare.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Launched } from './part.ts'
import { HOST } from './ports.ts'
import { type DurableObjects, workerdConfig } from './workerd_config.ts'

const fromHere = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
/** The executable itself: the one in `.bin` is a script around it, and would outlive a signal badly. */
export const { default: WORKERD } = createRequire(import.meta.url)('workerd') as { default: string }

export interface WorkerBuild {
  /** The module with the fetch handler. */
  entry: string
  /** Where bundle and configuration go. */
  folder: string
  /** Environment variables that the worker gets as bindings. */
  bindings: ReadonlyArray<string>
  /** Bindings that are the same wherever it runs. */
  texts?: Readonly<Record<string, string>>
  objects?: DurableObjects | undefined
}

/** @returns the path of workerd's configuration. */
export async function buildWorker({ entry, folder, bindings, texts, objects }: WorkerBuild): Promise<string> {
  mkdirSync(folder, { recursive: true })
  if (objects) mkdirSync(objects.folder, { recursive: true })
  await bundleWorker(entry, join(folder, 'worker.js'))
  const config = join(folder, 'workerd.capnp')
  writeFileSync(
    config,
    workerdConfig({
      module: 'worker.js',
      ...compatibility(),
      bindings,
      texts,
      network: ['local', 'public'],
      objects,
    }),
  )
  return config
}

export async function bundleWorker(entry: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'esnext',
    conditions: ['workerd', 'worker'],
    external: ['cloudflare:*'],
    // The console's pages are TSX.
    tsconfig: fromHere('../tsconfig.edge.json'),
    logLevel: 'error',
  })
}

/** The same date and flags here as on Cloudflare. */
export function compatibility() {
  const wranglerToml = readFileSync(fromHere('../wrangler.toml'), 'utf8')
  const date = /^compatibility_date = "([\d-]+)"$/m.exec(wranglerToml)?.[1]
  const flags = /^compatibility_flags = (\[.*\])$/m.exec(wranglerToml)?.[1]
  if (date === undefined || flags === undefined) {
    throw new Error('wrangler.toml has no compatibility_date, or no compatibility_flags')
  }
  return { compatibilityDate: date, compatibilityFlags: JSON.parse(flags) as ReadonlyArray<string> }
}

/**
 * Becomes workerd, and leaves a reader behind that ends it when standard input closes: workerd has no other way
 * to learn that the launcher was killed.
 */
const WITH_LIFELINE =
  'exec 4<&0 </dev/null; (read -r _; kill $$) <&4 >/dev/null 2>&1 3>&- & exec "$0" "$@" 4<&-'

export interface WorkerdRun {
  config: string
  /** On loopback; 0 is any free one. */
  port: number
  /** The bindings' values; workerd sees no other variable. */
  environment: Readonly<Record<string, string | undefined>>
  /** A file descriptor. */
  log: number
}

/** @returns, when ready, the port it listens on. */
export function launchWorkerd({ config, port, environment, log }: WorkerdRun): Launched<number> {
  const args = ['serve', config, '--socket-addr', `http=${HOST}:${port}`, '--control-fd', '3']
  const child = spawn('/bin/sh', ['-c', WITH_LIFELINE, WORKERD, ...args], {
    env: environment,
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
