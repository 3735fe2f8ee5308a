// The whole of Coditect for an end-to-end test: the real launcher, free ports, a data directory of its own.
// Nothing in here knows how the parts work; it talks HTTP and sends signals.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Coditect } from '../../shared/client/index.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PATIENCE_MS = 30_000

export type PartName = 'edge' | 'us' | 'eu'

/** As `dev.json` says it. */
export interface DevFile {
  edge: string
  operatorToken: string
  regions: { us: string; eu: string }
  demo: { tenantId: string; apiKey: string; adminUrl: string | null }
}

export interface Answer<T> {
  status: number
  headers: Headers
  /** The body as it came, and what it says where it is JSON. */
  text: string
  body: T
}

export interface CallOptions {
  method?: string
  /** An API key or operator token; null for none. By default the demo tenant's, or on /platform the operator's. */
  as?: string | null
  /** Sent as JSON. */
  body?: unknown
  headers?: Record<string, string>
}

export interface Stack extends DevFile {
  dataDir: string
  launcher: ChildProcess
  /** The typed client, by default with the demo tenant's key; each call is tried once. */
  client(token?: string): Coditect
  /** One request through the edge, as it is: for what the client would not send, or hides. An answer without a JSON body gives `undefined`. */
  call<T = unknown>(path: string, options?: CallOptions): Promise<Answer<T>>
  pid(part: PartName): number
  /** SIGKILL, no warning. The launcher starts the part again; {@link Stack.back} waits for it. */
  kill(part: PartName): Promise<void>
  back(part: PartName): Promise<void>
  /** Stops everything and forgets the data, unless the directory was given. @returns the launcher's exit code */
  stop(): Promise<number | null>
}

export interface Launch {
  child: ChildProcess
  output: { stdout: string; stderr: string }
  exited: Promise<number | null>
}

export const newDataDir = (): string => mkdtempSync(join(tmpdir(), 'coditect-'))

/** The launcher with these variables, whatever becomes of it. It ends with this process, too. */
export function launch(variables: Record<string, string>): Launch {
  const child = spawn(process.execPath, [join(ROOT, 'dev', 'start.ts')], {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', REGION_PORTS: '0,0', ...variables },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return { child, output, exited }
}

/** `variables` are the launcher's, such as `{ REGION_INSTANCES: '2' }`. */
export async function startStack(variables: Record<string, string> = {}): Promise<Stack> {
  const dataDir = variables.DATA_DIR ?? newDataDir()
  const { child, output, exited } = launch({ ...variables, DATA_DIR: dataDir })
  const file = join(dataDir, 'dev.json')
  let failed = false
  void exited.then(() => {
    failed = true
  })
  await waitUntil(() => failed || existsSync(file))
  if (failed) throw new Error(`the stack did not start: ${output.stderr}`)
  const dev = JSON.parse(readFileSync(file, 'utf8')) as DevFile
  const pid = (part: PartName) => Number(readFileSync(join(dataDir, 'run', `${part}.pid`), 'utf8'))
  return {
    ...dev,
    dataDir,
    launcher: child,
    client: (token = dev.demo.apiKey) => new Coditect({ url: dev.edge, token, retries: 0 }),
    call: (path, options) => call(dev, path, options),
    pid,
    async kill(part) {
      const killed = pid(part)
      process.kill(killed, 'SIGKILL')
      await waitUntil(() => !isAlive(killed))
    },
    async back(part) {
      const url = part === 'edge' ? dev.edge : dev.regions[part]
      const isUp = () =>
        fetch(`${url}/healthz`).then(
          ({ ok }) => ok,
          () => false,
        )
      await waitUntil(() => isAlive(pid(part)) && isUp())
    },
    async stop() {
      child.kill('SIGTERM')
      const code = await exited
      if (variables.DATA_DIR === undefined) rmSync(dataDir, { recursive: true, force: true })
      return code
    },
  }
}

/** Not Vitest's, because benchmarks start stacks too. @throws {Error} when it takes too long */
async function waitUntil(holds: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + PATIENCE_MS
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`still waiting after ${PATIENCE_MS / 1_000} s: ${holds}`)
    await pause(25)
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function call<T>(dev: DevFile, path: string, options: CallOptions = {}): Promise<Answer<T>> {
  const usual = path.startsWith('/platform/') ? dev.operatorToken : dev.demo.apiKey
  const { method = 'GET', as = usual, body, headers } = options
  const response = await fetch(dev.edge + path, {
    method,
    headers: {
      ...(as !== null && { authorization: `Bearer ${as}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '')
  const text = await response.text()
  const parsed = isJson ? JSON.parse(text) : undefined
  return { status: response.status, headers: response.headers, text, body: parsed as T }
}
