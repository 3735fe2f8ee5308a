// A PostgreSQL cluster and a Redis server for the peer: in a temporary folder, on free ports of loopback, gone afterwards.
// PostgreSQL syncs each commit to disk before it says so, as the engine of ours does.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chmodSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { claimable, HOST } from '../../../dev/ports.ts'

export const INSTALL = 'apt-get install postgresql redis-server'
/** Where Debian puts what is not for everybody. */
const DEBIAN = '/usr/lib/postgresql'
const PATIENCE_MS = 20_000

export interface Databases {
  /** Ports. */
  postgres: number
  redis: number
  processes: Record<'postgres' | 'redis', number>
  /** As the owner of the tables, whom no policy binds. */
  asOwner<T>(work: (client: pg.Client) => Promise<T>): Promise<T>
  stop(): Promise<void>
}

/** @returns undefined when PostgreSQL or Redis is not on the machine */
export async function startDatabases(): Promise<Databases | undefined> {
  const programs = { initdb: find('initdb'), postgres: find('postgres'), redis: find('redis-server') }
  const { initdb, postgres, redis } = programs
  if (initdb === undefined || postgres === undefined || redis === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'coditect-peer-'))
  const user = unprivileged()
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  chmodSync(folder, 0o755)
  const data = join(folder, 'postgres')
  const ports = { postgres: (await claimable(0)) ?? 0, redis: (await claimable(0)) ?? 0 }
  const as = { ...user, cwd: folder }
  execFileSync(initdb, ['-D', data, '-U', 'owner', '-A', 'trust', '-E', 'UTF8', '--no-locale'], {
    ...as,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const children = [
    spawn(postgres, ['-D', data, ...Object.entries(settings(ports.postgres, folder)).flatMap(setting)], {
      ...as,
      stdio: ['ignore', 'ignore', 'ignore'],
    }),
    spawn(redis, ['--bind', HOST, '--port', String(ports.redis), '--save', '', '--appendonly', 'no'], {
      ...as,
      stdio: ['ignore', 'ignore', 'ignore'],
    }),
  ] as const
  const asOwner = async <T>(work: (client: pg.Client) => Promise<T>, database = 'peer'): Promise<T> => {
    const client = new pg.Client({ host: HOST, port: ports.postgres, user: 'owner', database })
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }
  // Neither ends with this process by itself.
  const abandon = () => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  const interrupted = () => process.exit(1)
  process.once('exit', abandon)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted)
  const stop = async () => {
    process.off('exit', abandon)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted)
    // Fast shutdown: PostgreSQL ends its sessions itself.
    await Promise.all(children.map((child) => ended(child, 'SIGINT')))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await eventually(() => asOwner((client) => client.query('create database peer'), 'postgres'))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ...ports,
    processes: { postgres: children[0].pid ?? 0, redis: children[1].pid ?? 0 },
    asOwner,
    stop,
  }
}

/** Durable, and otherwise what one would set for such a machine. */
const settings = (port: number, folder: string): Record<string, string> => ({
  port: String(port),
  listen_addresses: HOST,
  unix_socket_directories: folder,
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '512MB',
  // No checkpoint in the middle of a round.
  max_wal_size: '8GB',
  checkpoint_timeout: '30min',
  jit: 'off',
})
const setting = ([name, value]: [string, string]): string[] => ['-c', `${name}=${value}`]

function find(program: string): string | undefined {
  const versions = readable(DEBIAN).toSorted((a, b) => Number(b) - Number(a))
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...versions.map((version) => join(DEBIAN, version, 'bin')),
  ]
  return folders.map((folder) => join(folder, program)).find(isExecutable)
}

function readable(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** PostgreSQL refuses to run as root; the user that its package made, or one that every system has. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string, user: string) =>
    Number(execFileSync('id', [flag, user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  for (const user of ['postgres', 'nobody']) {
    try {
      return { uid: id('-u', user), gid: id('-g', user) }
    } catch {}
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody')
}

async function eventually(work: () => Promise<unknown>): Promise<void> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      await work()
      return
    } catch (error) {
      if (performance.now() > until) throw error
      await pause(50)
    }
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill(signal)
  await exit
}
