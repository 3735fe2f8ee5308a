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

test('a copier whose thread ends without a word is not busy for ever, and the next copy has a new thread', async () => {
  const directory = await temporaryDirectory()
  prepare(directory)
  const file = openSync(dataPath(directory), 'r+')
  const copier = new LogCopier({ directory, file })
  const ended = () => expect.poll(() => copier.isBusy).toBe(false)
  expect(copier.copied()).toBe(false)
  expect(copier.isBusy).toBe(true)
  await threads[0]?.terminate()
  await ended()
  expect(copier.copied()).toBe(false)
  await ended()
  expect(threads).toHaveLength(2)
  // The writer's checkpoint does what was not done; after it all begins anew.
  expect(copier.copied()).toBe(true)
  expect(copier.copied()).toBe(false)
  await ended()
  await threads[1]?.terminate()
  await copier.close()
  closeSync(file)
})
