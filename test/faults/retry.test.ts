import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FDBError, type NativeTransaction } from '../../regional/storage/foundationdb.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { retrying } from '../../regional/tenancy/retry.ts'

let folder: string
let engine: Engine
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coditect-retry-'))
  engine = await openEngine({ dataDir: folder })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true })
})

/** The engine's transactions; the first ones fail as told. */
function failing(failures: Array<{ commit: number; onError?: number }>) {
  return (): NativeTransaction => {
    const tn = engine.native.createTransaction()
    const failure = failures.shift()
    if (failure === undefined) return tn
    const { commit, onError } = failure
    tn.commit = async () => {
      throw new FDBError('told to', commit)
    }
    if (onError !== undefined) {
      tn.onError = async () => {
        throw new FDBError('told to', onError)
      }
    }
    return tn
  }
}

const write = async (tn: NativeTransaction) => {
  tn.set('key', 'value')
  return { value: 'done', commit: true }
}

test('a transaction that timed out is begun anew', async () => {
  expect(await retrying(failing([{ commit: 1031 }]), write)).toBe('done')
})

test('and so is one whose time runs out while it waits to be retried', async () => {
  expect(await retrying(failing([{ commit: 1020, onError: 1031 }]), write)).toBe('done')
})

test('what no retry mends is not retried', async () => {
  await expect(retrying(failing([{ commit: 2101 }]), write)).rejects.toMatchObject({ code: 2101 })
})

test('a body that asks for no commit gets none', async () => {
  const value = await retrying(failing([{ commit: 1020 }]), async (tn) => {
    tn.set('not', 'committed')
    return { value: 'read', commit: false }
  })
  expect(value).toBe('read')
  expect(await engine.native.createTransaction().get('not', false)).toBeUndefined()
})

test('what the disk does not take says whether something was done', async () => {
  await expect(retrying(failing([{ commit: 1510 }]), write)).rejects.toMatchObject({
    code: 'region_unavailable',
    detail: expect.stringContaining('Nothing was done.'),
  })
  await expect(retrying(failing([{ commit: 1021 }, { commit: 1510 }]), write)).rejects.toMatchObject({
    code: 'region_unavailable',
    detail: expect.stringContaining('unknown'),
  })
})
