// One region: regional/server.ts as a Node process. It says over IPC when it listens, and ends when that breaks.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Launched } from './part.ts'
import type { Environment } from './settings.ts'

/** Where Node keeps what it has compiled, as the images do: a region then starts in two thirds of the time. */
export const COMPILED = fileURLToPath(new URL('../node_modules/.cache/coditect', import.meta.url))
const SERVER = fileURLToPath(new URL('../regional/server.ts', import.meta.url))

interface Listening {
  type: 'listening'
  /** One an instance, the first on the region's own port. */
  urls: string[]
}

const isListening = (message: unknown): message is Listening =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'listening'

export function launchRegion(environment: Environment, log: number): Launched<string[]> {
  const child = spawn(process.execPath, [SERVER], {
    env: { NODE_COMPILE_CACHE: COMPILED, ...environment },
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
  })
  const ready = new Promise<string[]>((resolve) => {
    child.on('message', (message) => {
      if (isListening(message)) resolve(message.urls)
    })
  })
  return { child, ready }
}
