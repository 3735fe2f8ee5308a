import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { dbRestored } from '../../cli/db_command.ts'
import { MAX_MODELS } from '../../regional/models/catalogue.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber, tenantId, tenantNumberOf } from '../../shared/tenant.ts'
import { bytesOf } from '../support/at_rest.ts'
import { eventually } from '../support/eventually.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions()
})
afterAll(() => regions.close())

const TENANTS = '/platform/v1/tenants'
const operator = (path: string, more: Partial<Ask> = {}) =>
  regions.ask('us', { as: 'operator', path, ...more })
const make = (slug: string, region = 'eu', headers: Record<string, string> = {}) =>
  operator(TENANTS, {
    method: 'POST',
    headers,
    body: { slug, name: `Name of ${slug}`, region, plan: 'free', owner: { email: `owner@${slug}.example` } },
  })
const eu = (path: string, key: string) => regions.ask('eu', { as: key, path })

test('a tenant is live in its home region when the answer is there', async () => {
  const { status, body, headers } = await make('live')
  expect(status).toBe(201)
  const known = await operator(`${TENANTS}/${body.tenant.id}`)
  expect([headers.get('location'), headers.get('etag')]).toEqual([
    `${TENANTS}/${body.tenant.id}`,
    known.headers.get('etag'),
  ])
  expect(body.tenant).toMatchObject({ slug: 'live', region: 'eu', status: 'active' })
  expect((await eu('/v1/tenant', body.apiKey.key)).body).toEqual(body.tenant)
  expect((await operator(`${TENANTS}/${body.tenant.id}`)).body).toEqual(body.tenant)
})

test('where its region does not answer, an operator is told that the tenant may be made all the same', async () => {
  await regions.stop('eu')
  const { status, body } = await make('perhaps')
  await regions.start('eu')
  expect([status, body.code]).toEqual([503, 'region_unavailable'])
  expect(body.detail).toContain('Idempotency-Key')
})

test('two tenants never have one slug, however they race', async () => {
  const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => make('raced', i % 2 ? 'us' : 'eu')))
  const statuses = answers.map(({ status }) => status).toSorted()
  expect(statuses).toEqual([201, 409, 409, 409, 409, 409])
  expect(answers.filter(({ body }) => body.code === 'slug_taken')).toHaveLength(5)
})

test('the same Idempotency-Key gives the same tenant and the same key', async () => {
  const headers = { 'idempotency-key': 'make-once' }
  const [first, second] = await Promise.all([make('once', 'eu', headers), make('once', 'eu', headers)])
  expect(second.body).toEqual(first.body)
  const third = await make('once', 'eu', headers)
  expect(third.body).toEqual(first.body)
  expect(third.headers.get('idempotency-replayed')).toBe('true')
  const reused = await make('other', 'eu', headers)
  expect([reused.status, reused.body.code]).toEqual([422, 'idempotency_key_reuse'])
})

test('a request that was refused for its slug leaves its Idempotency-Key to the next one', async () => {
  await make('occupied')
  const headers = { 'idempotency-key': 'second-choice' }
  for (let i = 0; i < 2; i++) expect((await make('occupied', 'eu', headers)).body.code).toBe('slug_taken')
  const made = await make('vacant', 'eu', headers)
  expect([made.status, made.headers.has('idempotency-replayed')]).toEqual([201, false])
})

test('a request that an edge sends again, because its answer was lost, makes one tenant', async () => {
  const requestId = newId('req')
  const body = {
    slug: 'again',
    name: 'Again',
    region: 'eu',
    plan: 'free',
    owner: { email: 'a@again.example' },
  }
  const again = () => operator(TENANTS, { method: 'POST', body, requestId })
  const [first, second] = [await again(), await again()]
  expect([first.status, second.status]).toEqual([201, 201])
  expect(second.body).toEqual(first.body)
})

test('an operator lists, renames, suspends and resumes', async () => {
  const { body } = await make('life')
  const path = `${TENANTS}/${body.tenant.id}`
  const patch = (changes: object) => operator(path, { method: 'PATCH', body: changes })
  expect((await patch({ name: 'Renamed', plan: 'team' })).body).toMatchObject({
    name: 'Renamed',
    plan: 'team',
  })
  await patch({ status: 'suspended' })
  const refused = await eu('/v1/tenant', body.apiKey.key)
  expect([refused.status, refused.body.code]).toEqual([403, 'tenant_suspended'])
  await patch({ status: 'active' })
  expect((await eu('/v1/tenant', body.apiKey.key)).body.name).toBe('Renamed')
  const found: string[] = []
  let cursor = ''
  do {
    const page = await operator(`${TENANTS}?limit=2${cursor && `&cursor=${cursor}`}`)
    found.push(...page.body.data.map(({ slug }: { slug: string }) => slug))
    cursor = page.body.nextCursor ?? ''
  } while (cursor !== '')
  expect(found.filter((slug) => slug === 'life')).toHaveLength(1)
})

test('a change that is asked for twice under one key is made once, and answered as it first was', async () => {
  const { tenant, apiKey } = (await make('changed-once')).body
  const one = `${TENANTS}/${tenant.id}`
  const change = (body: unknown, headers: Record<string, string>) =>
    operator(one, { method: 'PATCH', body, headers })
  const headers = { 'idempotency-key': 'suspend-once', 'if-match': '"1"' }
  const first = await change({ status: 'suspended', name: 'Once' }, headers)
  expect([first.status, first.headers.get('etag')]).toEqual([200, '"2"'])
  expect(first.headers.has('idempotency-replayed')).toBe(false)
  // Another one is made meanwhile: what comes again must not undo it.
  const resumed = await change({ status: 'active', name: 'Twice' }, { 'idempotency-key': 'resume' })
  const again = await change({ status: 'suspended', name: 'Once' }, headers)
  expect([again.status, again.headers.get('etag'), again.body]).toEqual([200, '"2"', first.body])
  expect(again.headers.get('idempotency-replayed')).toBe('true')
  expect((await operator(one)).body).toEqual(resumed.body)
  const reused = await change({ name: 'Thrice' }, headers)
  expect([reused.status, reused.body.code]).toEqual([422, 'idempotency_key_reuse'])

  const { body } = await eu('/v1/audit', apiKey.key)
  const actions: string[] = body.data.map(({ action }: { action: string }) => action)
  expect(actions.filter((action) => action === 'tenants.update')).toHaveLength(2)
})

test('an operator makes a link for an owner who has no other way in, once, and the tenant sees it', async () => {
  const { tenant, apiKey } = (await make('locked-out')).body
  const ask = (more: Partial<Ask> = {}) =>
    operator(`${TENANTS}/${tenant.id}/admin-links`, { method: 'POST', body: {}, ...more })
  const headers = { 'idempotency-key': 'link' }
  const [made, again] = [await ask({ headers }), await ask({ headers })]
  expect([made.status, made.body.email]).toEqual([201, 'owner@locked-out.example'])
  expect(Date.parse(made.body.expiresAt) - Date.now()).toBeGreaterThan(23 * 3_600_000)
  expect([again.body, again.headers.get('idempotency-replayed')]).toEqual([made.body, 'true'])
  expect((await ask()).body.id).not.toBe(made.body.id)

  const known = await ask({ body: { email: 'OWNER@locked-out.example', expiresIn: 60 } })
  expect(known.body.email).toBe('owner@locked-out.example')
  const unknown = await ask({ body: { email: 'else@locked-out.example' } })
  expect([unknown.status, unknown.body.errors]).toEqual([
    422,
    [expect.objectContaining({ pointer: '/email' })],
  ])

  const shown = await eu(`/v1/admin-links/${made.body.id}`, apiKey.key)
  expect(shown.body).toMatchObject({ role: 'owner', status: 'open', issuer: { kind: 'operator' } })
  const trail = await eu(`/v1/audit?target=${made.body.id}`, apiKey.key)
  expect(trail.body.data).toMatchObject([{ action: 'admin-links.create', actor: { kind: 'operator' } }])
  await operator(`${TENANTS}/${tenant.id}`, { method: 'PATCH', body: { status: 'suspended' } })
  const refused = await ask()
  expect([refused.status, refused.body.code]).toEqual([409, 'conflict'])
})

test('an operator’s key holds for one tenant, and a change that is refused takes none', async () => {
  const key = { 'idempotency-key': 'everywhere' }
  const [one, other] = [(await make('key-one')).body.tenant, (await make('key-other')).body.tenant]
  const change = (id: string, body: unknown, headers: Record<string, string> = key) =>
    operator(`${TENANTS}/${id}`, { method: 'PATCH', body, headers })
  expect((await change(one.id, { name: 'N' }, { ...key, 'if-match': '"7"' })).status).toBe(412)
  expect((await change(one.id, { name: 'One' })).body.name).toBe('One')
  expect((await change(other.id, { name: 'Other' })).body.name).toBe('Other')
})

test('an id with the right number but not this tenant’s is not found', async () => {
  const { body } = await make('forged')
  const id: string = body.tenant.id
  const forged = `${id.slice(0, 8)}${id[8] === '0' ? '1' : '0'}${id.slice(9)}`
  expect((await operator(`${TENANTS}/${forged}`)).status).toBe(404)
  const patch = await operator(`${TENANTS}/${forged}`, { method: 'PATCH', body: { name: 'x' } })
  expect(patch.status).toBe(404)
})

test('a tenant’s key is nobody on the platform, and an operator is no tenant', async () => {
  const { key } = await regions.newTenant('nobody', 'us')
  expect((await operator(TENANTS, { as: key })).status).toBe(401)
  expect((await operator('/v1/tenant')).status).toBe(401)
  expect(
    (await regions.ask('us', { as: key, method: 'POST', path: '/internal/v1/activate', body: {} })).status,
  ).toBe(401)
})

test('an unknown region, plan or slug spelling is told at its field', async () => {
  const bad = { slug: 'No Slug', name: 'x', region: 'mars', plan: 'gold', owner: { email: 'nobody' } }
  const { status, body } = await operator(TENANTS, { method: 'POST', body: bad })
  expect(status).toBe(422)
  const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer).toSorted()
  expect(pointers).toEqual(['/owner/email', '/plan', '/slug'])
  expect(body.errors).toContainEqual({
    pointer: '/slug',
    detail: expect.stringMatching(/letters a–z, digits and hyphens/),
  })
  expect((await make('elsewhere', 'mars')).body.errors).toMatchObject([{ pointer: '/region' }])
})

test.each(['operator', 'sign-in', 'enter', 'www'])('the slug %s is the platform’s', async (slug) => {
  const { status, body } = await make(slug)
  expect([status, body.code]).toEqual([422, 'validation_failed'])
  expect(body.errors).toEqual([{ pointer: '/slug', detail: 'is reserved for the platform' }])
})

test('a slug that browsers would show as another word is refused; two hyphens elsewhere are not', async () => {
  const { status, body } = await make('xn--pple-43d')
  expect([status, body.errors?.[0]?.pointer]).toEqual([422, '/slug'])
  expect((await make('two--hyphens')).status).toBe(201)
})

test('a model is reached over https alone, and its field says so', async () => {
  const body = { name: 'plain', baseUrl: 'http://models.example/v1' }
  expect((await operator('/platform/v1/models', { method: 'POST', body })).body.errors).toEqual([
    { pointer: '/baseUrl', detail: 'is an https URL' },
  ])
})

test.each([
  'user:secret@m.example/v1',
  'user@m.example/v1',
  'm.example/v1#f',
  'm.example/v1?',
  'm.example/?x=1',
])('a model’s URL is its place and no more: not %s', async (rest) => {
  const body = { name: 'plain', baseUrl: `https://${rest}` }
  expect((await operator('/platform/v1/models', { method: 'POST', body })).body.errors).toEqual([
    { pointer: '/baseUrl', detail: 'has no user, no password, no ? and no #' },
  ])
})

test('a model that cannot be added is told why: it is there, it was taken away again, or there is no room', async () => {
  const add = (name: string, key: string = newId('req')) =>
    operator('/platform/v1/models', {
      method: 'POST',
      body: { name, baseUrl: 'https://m.example/v1' },
      headers: { 'idempotency-key': key },
    })
  const refused = async (...asked: Parameters<typeof add>) => {
    const { status, body } = await add(...asked)
    return [status, body.code, body.detail]
  }
  expect((await add('there', 'added-once')).status).toBe(201)
  expect(await refused('there')).toEqual([409, 'conflict', 'There is a model there already.'])
  await operator('/platform/v1/models/there', { method: 'DELETE' })
  expect(await refused('there', 'added-once')).toEqual([
    ...[409, 'conflict', 'This request was already carried out, and the model there was taken away since.'],
  ])
  for (let i = 0; i < MAX_MODELS; i++) expect((await add(`many-${i}`)).status).toBe(201)
  expect(await refused('there')).toEqual([
    ...[409, 'conflict', 'There are 200 models already, and that is the most. Take one away first.'],
  ])
  expect((await refused('many-0')).at(-1)).toBe('There is a model many-0 already.')
  for (let i = 0; i < MAX_MODELS; i++) await operator(`/platform/v1/models/many-${i}`, { method: 'DELETE' })
}, 60_000)

test('a tenant leaves elsewhere nothing but number, slug and region in the control region', async () => {
  const { body } = await make('secluded', 'eu', { 'idempotency-key': 'secluded-key' })
  const { key } = await regions.newTenant('homely', 'us')
  const [us, inEu] = [await bytesOf(regions.dataDir('us')), await bytesOf(regions.dataDir('eu'))]
  expect(inEu).toContain('owner@secluded.example')
  for (const trace of [
    'Name of secluded',
    'owner@secluded',
    body.tenant.id,
    body.apiKey.id,
    'secluded-key',
  ]) {
    expect(us).not.toContain(trace)
  }
  expect(us).toContain('secluded')
  expect(us).toContain('owner@homely.example')
  expect(inEu).not.toContain('homely')
  expect(key).toBeTruthy()
})

/** What a crash of the control region right after the home's commit leaves behind. */
async function half(number: string, slug: string): Promise<string> {
  const intent = { slug, name: slug, plan: 'free', owner: { email: `owner@${slug}.example` } }
  const path = '/internal/v1/provision'
  const { status, body } = await regions.ask('eu', {
    as: 'region',
    method: 'POST',
    path,
    body: {
      number,
      intent,
      by: { operatorId: 'ops', requestId: newId('req'), publicOrigin: 'https://api.test' },
    },
  })
  expect(status).toBe(200)
  return body.apiKey.key
}

async function restart(region: string): Promise<void> {
  await regions.stop(region)
  await regions.start(region)
}

test('a tenant half made lets nobody in, and is finished after a restart', async () => {
  const key = await half('900001', 'halfway')
  expect((await eu('/v1/tenant', key)).status).toBe(401)
  await restart('eu')
  await vi.waitFor(async () => expect((await eu('/v1/tenant', key)).status).toBe(200), { timeout: 10_000 })
  expect((await make('halfway')).body.code).toBe('slug_taken')
})

test('a tenant half made whose slug went to another is undone after a restart', async () => {
  const { body } = await make('contested')
  const key = await half('900002', 'contested')
  await restart('eu')
  await vi.waitFor(
    async () => {
      const call = {
        as: 'region',
        method: 'POST',
        path: '/internal/v1/describe',
        body: { numbers: ['900002'] },
      }
      expect((await regions.ask('eu', call)).body).toEqual([null])
      expect(await bytesLeft('900002')).toBe(false)
    },
    { timeout: 10_000 },
  )
  expect((await eu('/v1/tenant', key)).status).toBe(401)
  expect((await eu('/v1/tenant', body.apiKey.key)).body.slug).toBe('contested')
})

/** Whether provisioning the number again finds anything: an undone tenant can be made anew. */
async function bytesLeft(number: string): Promise<boolean> {
  const path = '/internal/v1/activate'
  return (await regions.ask('eu', { as: 'region', method: 'POST', path, body: { number } })).status !== 404
}

test('a control region that lost its data gives nobody an organisation that is there, nor its key', async () => {
  const own = await startRegions()
  try {
    const path = TENANTS
    const ask = (slug: string, idempotencyKey: string) =>
      own.ask('us', {
        ...{ as: 'operator', method: 'POST', path, headers: { 'idempotency-key': idempotencyKey } },
        body: { slug, name: slug, region: 'eu', plan: 'free', owner: { email: `owner@${slug}.example` } },
      })
    const lose = async () => {
      await own.stop('us')
      await rm(join(own.dataDir('us'), 'data.sqlite'))
      await own.start('us')
    }
    const first = await ask('acme', 'a')
    await lose()
    const second = await ask('newtwo', 'b')
    expect([second.status, second.body.tenant.slug]).toEqual([201, 'newtwo'])
    expect((await ask('newtwo', 'b')).body).toEqual(second.body)
    await lose()
    // Also of the same slug, for whoever asks for it anew.
    const third = await ask('acme', 'c')
    expect(third.status).toBe(201)
    const made = [first, second, third].map(({ body }) => body)
    expect(new Set(made.map(({ tenant }) => tenant.id)).size).toBe(3)
    for (const { tenant, apiKey } of made) {
      expect((await own.ask('eu', { as: apiKey.key, path: '/v1/tenant' })).body).toEqual(tenant)
    }
  } finally {
    await own.close()
  }
})

test('a request that is sent again after its control region lost its data finds the tenant that it made', async () => {
  const own = await startRegions()
  try {
    const ask = () =>
      own.ask('us', {
        ...{ as: 'operator', method: 'POST', path: TENANTS, headers: { 'idempotency-key': 'same' } },
        body: { slug: 'same', name: 'Same', region: 'eu', plan: 'free', owner: { email: 'o@same.example' } },
      })
    const first = await ask()
    await own.stop('us')
    await rm(join(own.dataDir('us'), 'data.sqlite'))
    await own.start('us')
    expect((await ask()).body).toEqual(first.body)
  } finally {
    await own.close()
  }
})

/** Lets `work` happen, and then has the region be as it was before. */
async function takenBack<T>(
  own: Regions,
  region: string,
  work: () => Promise<T>,
  isMarked = false,
): Promise<T> {
  const [dataDir, backup] = [own.dataDir(region), `${own.dataDir(region)}.backup`]
  await own.stop(region)
  await cp(dataDir, backup, { recursive: true })
  await own.start(region)
  const result = await work()
  await own.stop(region)
  await rm(dataDir, { recursive: true })
  await rename(backup, dataDir)
  if (isMarked) await dbRestored({ in: dataDir, prefix: '' })
  await own.start(region)
  return result
}

test('after a restore whoever was erased since the backup is erased again, and nobody else', async () => {
  const own = await startRegions()
  try {
    const [back, kept] = [await own.newTenant('back', 'eu'), await own.newTenant('kept', 'eu')]
    const erasure = async () => {
      const path = `${TENANTS}/${back.id}/erasure`
      return (await own.ask('us', { as: 'operator', path })).body
    }
    const work = async () => {
      await own.ask('us', { as: 'operator', method: 'DELETE', path: `${TENANTS}/${back.id}` })
      await eventually(async () => expect((await erasure()).state).toBe('done'))
    }
    await takenBack(own, 'eu', work, true)
    await eventually(async () => {
      expect((await erasure()).certificate).toMatchObject({ tenant: back.id, requestedBy: 'restoration' })
    })
    expect((await own.ask('eu', { as: back.key, path: '/v1/tenant' })).status).toBe(401)
    // Of another region it is another tenant's number.
    const numbers = [back.id, kept.id].map((id) => String(tenantNumberOf(id)))
    const standingOf = async (region: string) => {
      const path = '/internal/v1/standingOf'
      return (await own.ask('us', { as: 'region', method: 'POST', path, body: { region, numbers } })).body
    }
    expect(await Promise.all(['eu', 'us'].map(standingOf))).toEqual([
      ['erased', 'here'],
      ['elsewhere', 'elsewhere'],
    ])
    expect((await own.ask('eu', { as: kept.key, path: '/v1/tenant' })).body.slug).toBe('kept')
  } finally {
    await own.close()
  }
})

test('a directory that was restored is told of those who were made since', async () => {
  const own = await startRegions()
  try {
    const since = await takenBack(own, 'us', () => own.newTenant('since', 'eu'), true)
    const operator = async (path: string) => (await own.ask('us', { as: 'operator', path })).status
    expect(await operator(`${TENANTS}/${since.id}`)).toBe(404)
    // As after a restore of its own, of which it lost nothing.
    await takenBack(own, 'eu', async () => {}, true)
    await eventually(async () => expect(await operator(`${TENANTS}/${since.id}`)).toBe(200))
    expect((await own.ask('eu', { as: since.key, path: '/v1/tenant' })).body.slug).toBe('since')
    const again = { slug: 'since', name: 'x', region: 'us', plan: 'free', owner: { email: 'o@x.example' } }
    const taken = await own.ask('us', { as: 'operator', method: 'POST', path: TENANTS, body: again })
    expect(taken.body.code).toBe('slug_taken')
    const numbers = [since, await own.newTenant('later', 'us')].map(({ id }) => tenantNumberOf(id))
    expect(new Set(numbers).size).toBe(2)
  } finally {
    await own.close()
  }
})

test('after a restore nobody who is gone keeps a slug for good: to erase them again frees it', async () => {
  const own = await startRegions()
  try {
    const operator = (path: string, method = 'GET', body?: object) =>
      own.ask('us', { as: 'operator', method, path, ...(body && { body }) })
    const make = (slug: string) =>
      operator(TENANTS, 'POST', {
        ...{ slug, name: slug, region: 'eu', plan: 'free', owner: { email: `owner@${slug}.example` } },
      })
    const erase = (id: string) => operator(`${TENANTS}/${id}`, 'DELETE')

    // The directory is older than the erasure.
    const erased = (await make('erased')).body.tenant.id
    const job = await takenBack(own, 'us', async () => {
      const { body } = await erase(erased)
      await eventually(async () => expect((await make('erased')).status).toBe(201))
      return body.id
    })
    expect((await make('erased')).body.code).toBe('slug_taken')
    expect((await erase(erased)).body).toMatchObject({ id: job, state: 'done' })
    expect((await make('erased')).status).toBe(201)

    // The home region is older than the tenant.
    const lost = await takenBack(own, 'eu', async () => (await make('lost')).body.tenant.id)
    expect((await operator(`${TENANTS}/${lost}`)).status).toBe(404)
    const { body: taken } = await make('lost')
    expect(taken.code).toBe('slug_taken')
    const [, path = ''] = /DELETE (\S+) frees/.exec(taken.detail) ?? []
    const gone = await operator(path, 'DELETE')
    expect(gone.body).toMatchObject({ state: 'done', certificate: { keys: 0, requestedBy: 'ops' } })
    expect((await operator(path, 'DELETE')).body).toEqual(gone.body)
    const { body } = await make('lost')
    expect((await own.ask('eu', { as: body.apiKey.key, path: '/v1/tenant' })).body.slug).toBe('lost')
    expect((await operator(`${path}/erasure`)).body).toEqual(gone.body)
    // Of one that is there, an id is what it always was.
    const invented = path.replace(/ten_.*/, tenantId(tenantNumberOf(body.tenant.id) ?? asTenantNumber(0n), 0))
    expect((await operator(invented, 'DELETE')).status).toBe(404)
  } finally {
    await own.close()
  }
})
