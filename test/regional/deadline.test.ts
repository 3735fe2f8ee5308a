import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FDBError } from '../../regional/storage/foundationdb.ts'
import { openQueue, type Queue } from '../jobs/support.ts'
import { type Regions, startRegions } from './support.ts'

describe('a request that nobody waits for any more', () => {
  let regions: Regions
  let key: string
  beforeAll(async () => {
    regions = await startRegions()
    ;({ key } = await regions.newTenant('acme', 'us'))
  })
  afterAll(() => regions.close())

  const late = { 'x-request-deadline': String(Date.now() - 1) }

  test('is 503 with a code of its own, before anything is done', async () => {
    const request = { as: key, method: 'POST', path: '/v1/projects', body: { name: 'Late' } }
    const refused = await regions.ask('us', { ...request, headers: late })
    expect([refused.status, refused.body.code]).toEqual([503, 'deadline_exceeded'])
    expect(refused.headers.get('retry-after')).toBe('1')
    // Who still waits is to ask an instance with a better clock.
    expect(refused.headers.has('coditect-took')).toBe(false)
    const { body } = await regions.ask('us', { as: key, path: '/v1/projects' })
    expect(body.data).toEqual([])
    const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
    expect(text).toMatch(/_seconds_count\{region="us",class="write",status="5xx"\} 1$/m)
    expect(text).not.toMatch(/_seconds_count\{region="us",class="none",status="5xx"\}/)
  })

  test('is so for operators as well; one with time left, or without a deadline that can be read, is served', async () => {
    const path = '/platform/v1/tenants'
    const { body } = await regions.ask('us', { as: 'operator', path, headers: late })
    expect(body.code).toBe('deadline_exceeded')
    for (const deadline of [String(Date.now() + 60_000), 'soon', '-1', '']) {
      const headers = { 'x-request-deadline': deadline }
      expect((await regions.ask('us', { as: key, path: '/v1/projects', headers })).status).toBe(200)
    }
  })
})

describe('retries', () => {
  let queue: Queue
  afterEach(() => queue.close())

  test('end with the time of the request, and say that nothing was done where that is known', async () => {
    queue = await openQueue()
    const tenant = await queue.tenant(1)
    let attempts = 0
    const started = performance.now()
    const endless = queue.database.tenant(
      tenant,
      async () => {
        attempts++
        throw new FDBError('not committed', 1020)
      },
      { withinMs: 150 },
    )
    await expect(endless).rejects.toMatchObject({
      code: 'deadline_exceeded',
      detail: expect.stringContaining('Nothing was done.'),
    })
    expect(attempts).toBeGreaterThan(0)
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  test('do not begin when there is no time left', async () => {
    queue = await openQueue()
    const tenant = await queue.tenant(1)
    let attempts = 0
    const none = queue.database.tenant(
      tenant,
      async () => {
        attempts++
        return { value: undefined, commit: false }
      },
      { withinMs: 0 },
    )
    await expect(none).rejects.toMatchObject({ code: 'deadline_exceeded' })
    expect(attempts).toBe(0)
  })
})
