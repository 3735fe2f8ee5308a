// A region as a process that is sent signals, run as the documentation says.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { claimable } from '../../dev/ports.ts'
import { COMPILED } from '../../dev/region.ts'
import { ROOT } from '../e2e/stack.ts'
import { eventually } from '../support/eventually.ts'
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

async function start(
  name: string,
  more: Record<string, string> = {},
  log: 'ignore' | 'pipe' | number = 'ignore',
) {
  const [, command = ''] =
    /^`(\S.*? regional\/server\.ts)` runs one region/m.exec(
      readFileSync(join(ROOT, 'docs', 'running.md'), 'utf8'),
    ) ?? []
  const [file = '', ...args] = command.split(' ')
  const port = String(await claimable(0))
  const url = `http://127.0.0.1:${port}`
  const own = { PORT: port, DATA_DIR: join(folder, name), LOG_LEVEL: 'silent', NODE_COMPILE_CACHE: COMPILED }
  const env = { ...process.env, ...(await new RegionSecrets(['us']).environment('us', { us: url })), ...own }
  const child = spawn(file, args, {
    ...{ cwd: ROOT, env: { ...env, ...more }, detached: true },
    stdio: ['ignore', log, 'ignore'],
  })
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

const linesLost = async (url: string): Promise<number> => {
  const metrics = await fetch(`${url}/metrics`).then((answer) => answer.text())
  return Number(/^coditect_log_lines_lost_total\S* (\d+)$/m.exec(metrics)?.[1])
}

/** Asks until a line of the log was lost. */
const fillLog = (url: string) =>
  eventually(async () => {
    await Promise.all(Array.from({ length: 500 }, () => fetch(`${url}/v1/tenant`).then((a) => a.text())))
    expect(await linesLost(url)).toBeGreaterThan(0)
  })

const isLinux = process.platform === 'linux'
test.skipIf(!isLinux)(
  `a log that cannot be written takes nothing from the region but lines${isLinux ? '' : ' (skipped: needs Linux)'}`,
  async () => {
    const full = openSync('/dev/full', 'w')
    const { url, child } = await start('full', { LOG_LEVEL: 'info' }, full)
    closeSync(full)
    const ended = once(child, 'exit')
    await vi.waitUntil(() => isThere(url), { timeout: 30_000, interval: 50 })
    await fillLog(url)
    expect(await isThere(url)).toBe(true)
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  },
)

test('a reader of the log that stalls takes nothing from the region but lines, nor keeps it from ending', async () => {
  const { url, child } = await start('unread', { LOG_LEVEL: 'info' }, 'pipe')
  const ended = once(child, 'exit')
  await vi.waitUntil(() => isThere(url), { timeout: 30_000, interval: 50 })
  await fillLog(url)
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
})
