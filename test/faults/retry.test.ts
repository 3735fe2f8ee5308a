import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { during, RequestNote } from '../../regional/observe/request.ts'
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

test('a request’s retries are what was tried again, however many transactions it has', async () => {
  const note = new RequestNote(performance.now())
  await during(note, async () => {
    await Promise.all([retrying(failing([]), write), retrying(failing([]), write)])
    expect(note.retries).toBe(0)
    await retrying(failing([{ commit: 1031 }, { commit: 1020 }]), write)
  })
  expect(note.retries).toBe(2)
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

test('when the attempts run out, it is told whether a change may have been made', async () => {
  // Without a pause between them.
  const conflicts = Array.from({ length: 20 }, () => ({ commit: 1020, onError: 1031 }))
  await expect(retrying(failing([...conflicts]), write)).rejects.toMatchObject({ code: 'contention' })
  for (const commit of [1021, 1031, 1039])
    await expect(retrying(failing([{ commit, onError: 1031 }, ...conflicts]), write)).rejects.toMatchObject({
      code: 'deadline_exceeded',
      detail: expect.stringContaining('unknown'),
    })
})

test('what times out before its commit is in no doubt, and is not taken for contention', async () => {
  const reading = async () => {
    throw new FDBError('told to', 1031)
  }
  await expect(retrying(failing([]), reading)).rejects.toMatchObject({
    code: 'region_unavailable',
    detail: expect.stringContaining('Nothing was done.'),
  })
})

test('a database that has answered in between is not silent', async () => {
  let times = 0
  const conflicting = async () => {
    throw new FDBError('told to', times++ === 0 ? 1020 : 1031)
  }
  await expect(retrying(failing([]), conflicting)).rejects.toMatchObject({ code: 'contention' })
})

test.each([1213, 1223])(
  'who has a place that others wait for gives it up when the cluster holds its tenant back (%i), unless something may have been done',
  async (commit) => {
    const inTurn = { inTurn: true }
    const failures = [{ commit }, { commit }]
    const failure = await retrying(failing(failures), write, inTurn).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'overloaded',
      detail: expect.stringContaining('Nothing was done.'),
      extras: { headers: { 'retry-after': '5' } },
    })
    expect(failures).toHaveLength(1)
    expect(await retrying(failing([{ commit: 1021 }, { commit }]), write, inTurn)).toBe('done')
    expect(await retrying(failing([{ commit }]), write)).toBe('done')
  },
)

test.each([
  [1020, 'contention'],
  [1037, 'overloaded'],
  [1042, 'overloaded'],
  [1051, 'overloaded'],
  [1213, 'overloaded'],
  [1038, 'region_unavailable'],
])('what the database last said is what the client is told: %i is %s', async (commit, code) => {
  const all = Array.from({ length: 20 }, (_, i) => ({ commit: i === 0 ? 1020 : commit, onError: 1031 }))
  await expect(retrying(failing(all), write)).rejects.toMatchObject({ code })
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
