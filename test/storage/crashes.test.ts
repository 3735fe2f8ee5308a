import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { CLIENTS, type Found } from './crash_protocol.ts'
import { generator, seed } from './seed.ts'

/** Kills in all, over the directories. */
const KILLS = 200
const DIRECTORIES = 2
/** So many of a hundred kills hit a process while it starts. */
const EARLY_PERCENT = 15
const MOST_ACKNOWLEDGED = 80

/** What one directory has been told is committed. */
class Ledger {
  readonly acknowledged: number[] = Array.from({ length: CLIENTS }, () => 0)
  newestVersion = 0n

  /** Every acknowledged commit is there, none half, and at most the one in flight beyond. */
  check(found: readonly Found[]): void {
    for (const [client, { numbers, added, log }] of found.entries()) {
      const number = numbers[0] ?? 0
      expect(new Set(numbers)).toEqual(new Set([number]))
      expect(added).toBe(number)
      expect(log).toEqual(Array.from({ length: number }, (_, i) => i + 1))
      expect(number).toBeGreaterThanOrEqual(this.acknowledged[client] ?? 0)
      expect(number).toBeLessThanOrEqual((this.acknowledged[client] ?? 0) + 1)
      this.acknowledged[client] = number
    }
  }

  note(line: string): void {
    const [client, number, version] = line.split(' ')
    this.acknowledged[Number(client)] = Number(number)
    const committed = BigInt(version ?? 0)
    // Acknowledged in the order of their versions, over restarts too.
    expect(committed).toBeGreaterThan(this.newestVersion)
    this.newestVersion = committed
  }
}

const start = (directory: string, thresholds: 'small' | 'usual'): ChildProcess =>
  spawn(process.execPath, [join(import.meta.dirname, 'crash_child.ts'), directory, thresholds], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

/** Runs a process until `acknowledged` commits were reported, or for `earlyMs` if that is set, and kills it. */
async function runAndKill(
  directory: string,
  ledger: Ledger,
  acknowledged: number,
  earlyMs: number | undefined,
  thresholds: 'small' | 'usual',
): Promise<void> {
  const child = start(directory, thresholds)
  const exited = once(child, 'exit')
  if (!child.stdout) throw new Error('no output')
  const timer = earlyMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), earlyMs)
  let left = acknowledged
  let started = false
  // Lines that were printed before the kill are read to the end: those commits were acknowledged.
  for await (const line of createInterface({ input: child.stdout })) {
    if (!started) {
      started = true
      ledger.check(JSON.parse(line) as Found[])
    } else {
      ledger.note(line)
      left--
    }
    if (left <= 0) child.kill('SIGKILL')
  }
  clearTimeout(timer)
  // One that ends by itself could not open what was left, or found a value that is not whole.
  expect(await exited).toEqual([null, 'SIGKILL'])
  if (earlyMs === undefined) expect(started).toBe(true)
}

async function killMany(random: () => number, kills: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'coditect-crash-'))
  const ledger = new Ledger()
  try {
    for (let kill = 0; kill < kills; kill++) {
      const early = random() * 100 < EARLY_PERCENT ? 60 + random() * 200 : undefined
      const thresholds = random() < 0.5 ? 'small' : 'usual'
      await runAndKill(directory, ledger, Math.floor(random() * MOST_ACKNOWLEDGED), early, thresholds)
    }
    await runAndKill(directory, ledger, 1, undefined, 'usual')
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  return ledger.acknowledged.reduce((sum, number) => sum + number, 0)
}

test(`after ${KILLS} kills every acknowledged commit is there and none is half (seed ${seed})`, async () => {
  const random = generator(seed)
  const totals = await Promise.all(
    Array.from({ length: DIRECTORIES }, () =>
      killMany(generator(Math.floor(random() * 2 ** 31)), KILLS / DIRECTORIES),
    ),
  )
  for (const total of totals) expect(total).toBeGreaterThan(100)
}, 180_000)
