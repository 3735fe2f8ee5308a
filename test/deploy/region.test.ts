// A region as a process that is sent signals, run as the documentation says.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { claimable } from '../../dev/ports.ts'
import { COMPILED } from '../../dev/region.ts'
import { ROOT } from '../e2e/stack.ts'
import { RegionSecrets } from '../support/region_client.ts'

const folder = mkdtempSync(join(tmpdir(), 'coditect-region-'))
const groups: ChildProcess[] = []
afterAll(() => {
  for (const { pid = 0 } of groups) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // Nothing of it is left.
    }
  }
  rmSync(folder, { recursive: true, force: true })
})

async function start(name: string, more: Record<string, string> = {}) {
  const [, command = ''] =
    /^`(\S.*? regional\/server\.ts)` runs one region/m.exec(
      readFileSync(join(ROOT, 'docs', 'running.md'), 'utf8'),
    ) ?? []
  const [file = '', ...args] = command.split(' ')
  const port = String(await claimable(0))
  const url = `http://127.0.0.1:${port}`
  const own = { PORT: port, DATA_DIR: join(folder, name), LOG_LEVEL: 'silent', NODE_COMPILE_CACHE: COMPILED }
  const env = { ...process.env, ...(await new RegionSecrets(['us']).environment('us', { us: url })), ...own }
  const child = spawn(file, args, { cwd: ROOT, env: { ...env, ...more }, stdio: 'ignore', detached: true })
  groups.push(child)
  return { url, child }
}

const isThere = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  )

test('what the documentation runs a region with is the region: a signal ends it, and leaves nothing behind', async () => {
  const { url, child } = await start('documented')
  const ended = once(child, 'exit')
  await vi.waitUntil(() => isThere(url), { timeout: 30_000, interval: 50 })
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  expect(await isThere(url)).toBe(false)
})

test('a region that is told to stop while it starts does so: in a container nobody would tell it again', async () => {
  // Nothing has been answered yet, and whoever waits for the start has not heard of it.
  const atListen = `import { Server } from 'node:net'
    const { listen } = Server.prototype
    Server.prototype.listen = function (...given) {
      process.kill(process.pid, 'SIGTERM')
      return listen.apply(this, given)
    }`
  const preload = `--import=data:text/javascript,${encodeURIComponent(atListen)}`
  const { url, child } = await start('early', { NODE_OPTIONS: preload })
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(await isThere(url)).toBe(false)
})
