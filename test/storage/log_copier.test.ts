import { closeSync, openSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { expect, test, vi } from 'vitest'
import { dataPath, prepare } from '../../regional/storage/embedded/data_file.ts'
import { LogCopier } from '../../regional/storage/embedded/log_copier.ts'
import { temporaryDirectory } from './temporary.ts'

/** The threads, as they are started. */
const { threads } = vi.hoisted(() => ({ threads: [] as Worker[] }))
vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  class KnownWorker extends real.Worker {
    constructor(...given: ConstructorParameters<typeof Worker>) {
      super(...given)
      threads.push(this)
    }
  }
  return { ...real, Worker: KnownWorker }
})

/** What each round that has ended could not sync. */
async function start(path = dataPath): Promise<{ copier: LogCopier; rounds: unknown[]; file: number }> {
  const directory = await temporaryDirectory()
  prepare(directory)
  const file = openSync(path(directory), 'r+')
  const rounds: unknown[] = []
  const copier = new LogCopier({ directory, file }, { roundOver: (unsynced) => rounds.push(unsynced) })
  return { copier, rounds, file }
}

test('a copier whose thread ends without a word is not busy for ever, and the next copy has a new thread', async () => {
  const { copier, rounds, file } = await start()
  expect(copier.copied()).toBe(false)
  expect(copier.isBusy).toBe(true)
  await threads[0]?.terminate()
  await expect.poll(() => rounds).toEqual([undefined])
  expect(copier.isBusy).toBe(false)
  expect(copier.copied()).toBe(false)
  await expect.poll(() => rounds).toHaveLength(2)
  expect(threads).toHaveLength(2)
  // A thread that ends while nothing is under way ends no round.
  await threads[1]?.terminate()
  // The writer's checkpoint does what was not done; after it all begins anew.
  expect(copier.copied()).toBe(true)
  expect(copier.copied()).toBe(false)
  await expect.poll(() => rounds).toHaveLength(3)
  await copier.close()
  closeSync(file)
})

test('a copy that can’t be synced is said to be', async () => {
  const { copier, rounds, file } = await start(() => '/dev/null')
  copier.copied()
  await expect.poll(() => rounds).toEqual([expect.stringContaining('fdatasync')])
  await copier.close()
  closeSync(file)
})
