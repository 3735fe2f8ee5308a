// Admin links and the console's sessions at their authority, the region: used once, never more than their maker may
// give, gone with whoever stands behind them.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { type Region, startRegion } from '../../regional/server.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { adminLinkSpace, sessionSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { type Id, newId } from '../../shared/ids.ts'
import type { SessionPrincipal } from '../../shared/principal.ts'
import { asTenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
/** The tenants' region, as it was started last. */
let us: Region
let key: string
let id: string
beforeAll(async () => {
  // Only the clock is the test's; what waits, waits for real.
  vi.useFakeTimers({ toFake: ['Date'] })
  regions = await startRegions({}, async (environment) => {
    const region = await startRegion(readConfig(environment), { writeLog: () => {} })
    if (environment.REGION === 'us') us = region
    return region
  })
  ;({ key, id } = await regions.newTenant('acme', 'us'))
})
afterAll(async () => {
  await regions.close()
  vi.useRealTimers()
})

const MINUTE_MS = 60_000
const pass = (ms: number) => vi.setSystemTime(Date.now() + ms)
const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
const code = ({ status, body }: { status: number; body: { code: string } }) => `${status} ${body.code}`
const link = async (body: object, more: Partial<Ask> = {}) =>
  ask('/v1/admin-links', { method: 'POST', body, ...more })
const newKey = async (scopes: string[]) =>
  (await ask('/v1/api-keys', { method: 'POST', body: { name: 'a key', scopes } })).body

function newSession(): SessionPrincipal {
  const tenant = tenantNumberOf(id)
  if (tenant === undefined) throw new Error('no tenant')
  const secretHash = toBase64url(crypto.getRandomValues(new Uint8Array(32)))
  return { kind: 'session', tenant, sessionId: newId('ses'), secretHash }
}

/** Uses a link, as the edge does. */
function enter(url: string, session: SessionPrincipal, more: Partial<Ask> = {}) {
  const { sessionId, secretHash } = session
  const entering = { begins: { sessionId, secretHash }, ...more.entering }
  const body = { userAgent: 'a browser' }
  return ask('/console/v1/entry', { method: 'POST', body, ...more, as: url, entering })
}
const peek = (url: string, entering: Ask['entering'] = {}) => ask('/console/v1/entry', { as: url, entering })

async function signedIn(role: string, more: Partial<Ask> = {}): Promise<SessionPrincipal> {
  const { body } = await link({ role }, more)
  const session = newSession()
  expect((await enter(body.url, session)).status).toBe(201)
  return session
}

/** Many more links and sessions than those two, newer than them, as older versions kept them. */
async function crowd(linkId: string, sessionId: string, count: number): Promise<void> {
  await regions.stop('us')
  const engine = await openEngine({ dataDir: regions.dataDir('us') })
  const database = new RegionDatabase(engine.native, keySpace(''), () => {})
  await database.tenant(tenantNumberOf(id) ?? asTenantNumber(0n), async (scope) => {
    const [links, sessions] = [
      scope.system('credentials', adminLinkSpace),
      scope.system('credentials', sessionSpace),
    ]
    const [link, session] = await Promise.all([links.get([linkId]), sessions.get([sessionId])])
    if (link === undefined || session === undefined) throw new Error('there is nothing to be crowded')
    for (let i = 0; i < count; i++) {
      const [another, anotherSession] = [newId('lnk', Date.now() + i), newId('ses', Date.now() + i)]
      links.set([another], { ...link, id: another, madeIn: null })
      const { era: _, ...older } = session
      sessions.set([anotherSession], { ...older, id: anotherSession })
    }
    return { value: undefined, commit: true }
  })
  await engine.close()
  await regions.start('us')
}

const trail = async () => (await ask('/v1/audit?limit=100')).body.data

describe('an admin link', () => {
  test('comes with a new tenant, for its owner', async () => {
    const owner = { email: 'ada@fresh.example' }
    const { body } = await regions.ask('us', {
      as: 'operator',
      method: 'POST',
      path: '/platform/v1/tenants',
      body: { slug: 'fresh', name: 'Fresh', region: 'us', plan: 'free', owner },
    })
    const { status, body: entry } = await peek(body.adminLink.url)
    expect([status, entry.email, entry.role]).toEqual([200, 'ada@fresh.example', 'owner'])
    expect(entry.organisation).toMatchObject({ id: body.tenant.id, slug: 'fresh' })
    const lifeMs = Date.parse(body.adminLink.expiresAt) - Date.now()
    expect(lifeMs).toBeGreaterThan(14 * MINUTE_MS)
  })

  test('shows itself as often as it is asked, and is used once', async () => {
    const { body } = await link({ role: 'admin', email: 'bob@acme.example', returnPath: '/api-keys' })
    for (let i = 0; i < 3; i++) expect((await peek(body.url)).status).toBe(200)
    expect((await peek(body.url)).body).toMatchObject({
      role: 'admin',
      email: 'bob@acme.example',
      returnPath: '/api-keys',
      expiresAt: body.expiresAt,
    })
    const first = newSession()
    expect((await enter(body.url, first)).status).toBe(201)
    expect(code(await enter(body.url, newSession()))).toBe('410 admin_link_used')
    expect(code(await peek(body.url))).toBe('410 admin_link_used')
    expect((await ask('/v1/tenant', { as: first })).status).toBe(200)
  })

  test('used by two at the same time lets one of them in', async () => {
    const { body } = await link({ role: 'viewer' })
    const answers = await Promise.all(Array.from({ length: 8 }, () => enter(body.url, newSession())))
    expect(answers.map(code).toSorted()).toEqual(['201 undefined', ...Array(7).fill('410 admin_link_used')])
  })

  test('used again by the same request, after an answer that was lost, is used by it still', async () => {
    const { body } = await link({ role: 'viewer' })
    const session = newSession()
    const more = { headers: { 'idempotency-key': session.sessionId } }
    const first = await enter(body.url, session, more)
    const second = await enter(body.url, session, more)
    expect([second.status, second.body]).toEqual([201, first.body])
  })

  test('used once, is used again by the same session after its time, and by no other', async () => {
    const { body } = await link({ role: 'viewer', expiresIn: 10 })
    const session = newSession()
    const more = { headers: { 'idempotency-key': session.sessionId } }
    const first = await enter(body.url, session, more)
    pass(11_000)
    const second = await enter(body.url, session, more)
    expect([second.status, second.body]).toEqual([201, first.body])
    const { sessionId, secretHash } = session
    expect((await peek(body.url, { begins: { sessionId, secretHash } })).status).toBe(200)
    expect(code(await enter(body.url, newSession()))).toBe('410 admin_link_used')
    // Longer than the answer is remembered, it begins nothing.
    expect(code(await enter(body.url, session))).toBe('410 admin_link_used')
  })

  test('begins no session twice, and none that is there already', async () => {
    const session = newSession()
    const [{ body: one }, { body: two }] = [await link({ role: 'viewer' }), await link({ role: 'owner' })]
    expect((await enter(one.url, session)).status).toBe(201)
    expect(code(await enter(two.url, session))).toBe('409 conflict')
    expect((await ask('/console/v1/session', { as: session, method: 'DELETE' })).status).toBe(204)
    expect(code(await enter(one.url, session))).toBe('410 admin_link_used')
    expect(code(await ask('/v1/tenant', { as: session }))).toBe('401 credential_invalid')
  })

  test('that was used is not taken back: whoever it let in is named, and stays until their session is ended', async () => {
    const session = newSession()
    const { body } = await link({ role: 'viewer' })
    await enter(body.url, session)
    const refused = await ask(`/v1/admin-links/${body.id}`, { method: 'DELETE' })
    expect([code(refused), refused.body.detail]).toEqual([
      '409 conflict',
      expect.stringContaining(`DELETE /v1/sessions/${session.sessionId}`),
    ])
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
    const told = (await trail()).filter(({ action }: { action: string }) => action === 'admin-links.revoke')
    expect(told.filter(({ target }: { target: string }) => target === body.id)).toEqual([])
  })

  test('expires, can be taken back, and is for one address', async () => {
    const { body: brief } = await link({ role: 'viewer', expiresIn: 10 })
    const { body: revoked } = await link({ role: 'viewer' })
    const { body: elsewhere } = await link({ role: 'viewer' })
    for (let i = 0; i < 2; i++) {
      expect((await ask(`/v1/admin-links/${revoked.id}`, { method: 'DELETE' })).status).toBe(204)
    }
    pass(11_000)
    for (const use of [peek, (url: string) => enter(url, newSession())]) {
      expect(code(await use(brief.url))).toBe('410 admin_link_expired')
      expect(code(await use(revoked.url))).toBe('410 admin_link_revoked')
    }
    expect(code(await peek(elsewhere.url, { elsewhere: true }))).toBe('403 admin_link_elsewhere')
    expect(code(await peek(elsewhere.url, { secretHash: 'invented' }))).toBe('401 credential_invalid')
    const { body: list } = await ask('/v1/admin-links?limit=100')
    const statusOf = (wanted: string) => list.data.find((each: { id: string }) => each.id === wanted).status
    expect([statusOf(brief.id), statusOf(revoked.id), statusOf(elsewhere.id)]).toEqual([
      'expired',
      'revoked',
      'open',
    ])
    await eventually(async () => {
      const codes = (await trail()).flatMap((entry: { code?: string }) => entry.code ?? [])
      expect(codes).toEqual(
        expect.arrayContaining(['admin_link_expired', 'admin_link_revoked', 'admin_link_elsewhere']),
      )
    })
  })

  test('gives at most what its maker has, and dies with them', async () => {
    const { id: issuer, key: limited } = await newKey(['admin-links:write', 'tenant:read', 'members:read'])
    expect(code(await link({ role: 'viewer' }, { as: limited }))).toBe('403 insufficient_scope')
    const { id: other, key: strong } = await newKey(['*'])
    const { body } = await link({ role: 'owner' }, { as: strong })
    const session = await signedIn('member', { as: strong })
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
    for (const each of [issuer, other]) await ask(`/v1/api-keys/${each}`, { method: 'DELETE' })
    expect(code(await enter(body.url, newSession()))).toBe('410 admin_link_revoked')
    expect(code(await ask('/v1/tenant', { as: session }))).toBe('401 session_ended')
  })

  describe('for a member', () => {
    const ISSUER = 'https://id.example'
    let added = 0
    const newMember = async (role: string) => {
      const identity = { issuer: ISSUER, subject: `person-${++added}` }
      const body = { identity, role, email: `person-${added}@acme.example` }
      return (await ask('/v1/members', { method: 'POST', body })).body
    }
    const linkTo = ({ id: memberId }: { id: string }, body: object = {}, more: Partial<Ask> = {}) =>
      link({ memberId, ...body }, more)
    const pointers = ({ body }: { body: { errors: Array<{ pointer: string }> } }) =>
      body.errors.map(({ pointer }) => pointer)

    test('begins their session: as they are, told as theirs, less with them, and gone with them', async () => {
      const bob = await newMember('admin')
      const { body } = await linkTo(bob)
      expect(body).toMatchObject({ role: 'admin', email: bob.email, member: bob.id })
      const session = newSession()
      expect((await enter(body.url, session)).status).toBe(201)
      expect((await ask(`/v1/sessions/${session.sessionId}`)).body).toMatchObject({
        ...{ member: bob.id, email: bob.email, link: body.id },
        issuer: { kind: 'api_key' },
      })
      const made = await ask('/v1/projects', { as: session, method: 'POST', body: { name: 'Of Bob' } })
      const entry = (await trail()).find(({ target }: { target: string }) => target === made.body.id)
      expect(entry.actor).toEqual({ kind: 'session', id: session.sessionId, member: bob.id })
      const one = `/v1/members/${bob.id}`
      await ask(one, { method: 'PATCH', body: { role: 'viewer' } })
      const create = { as: session, method: 'POST', body: { name: 'No more' } }
      expect(code(await ask('/v1/projects', create))).toBe('403 insufficient_scope')
      const { body: late } = await linkTo(bob)
      expect((await ask(one, { method: 'DELETE' })).status).toBe(204)
      expect(code(await ask('/v1/projects', { as: session }))).toBe('401 session_ended')
      expect(code(await enter(late.url, newSession()))).toBe('410 admin_link_revoked')
      expect((await ask(`/v1/admin-links/${late.id}`)).body.status).toBe('revoked')
    })

    test('gives less where it is asked to, and never more than they are', async () => {
      const ann = await newMember('member')
      expect((await linkTo(ann, { role: 'viewer', email: 'ann@elsewhere.example' })).body).toMatchObject({
        ...{ role: 'viewer', email: 'ann@elsewhere.example', member: ann.id },
      })
      const above = await linkTo(ann, { role: 'admin' })
      expect([code(above), pointers(above)]).toEqual(['422 validation_failed', ['/role']])
    })

    test('is made by nobody who may less than they: an admin does not come in as an owner', async () => {
      const owner = await newMember('owner')
      const as = await signedIn('admin')
      for (const body of [{}, { role: 'viewer' }]) {
        expect(code(await linkTo(owner, body, { as }))).toBe('403 insufficient_scope')
      }
      expect((await linkTo(await newMember('admin'), {}, { as })).status).toBe(201)
    })

    test('is not made for nobody, nor for whom was removed or is another organisation’s', async () => {
      const removed = await newMember('viewer')
      await ask(`/v1/members/${removed.id}`, { method: 'DELETE' })
      const other = await regions.newTenant('others', 'us')
      const { body: theirs } = await ask('/v1/members', { as: other.key })
      for (const member of [removed, theirs.data[0], { id: newId('mem') }]) {
        const refused = await linkTo(member)
        expect([code(refused), pointers(refused)]).toEqual(['422 validation_failed', ['/memberId']])
      }
      const { body: nobodys } = await link({ email: 'bob@acme.example' })
      expect(nobodys).toMatchObject({ role: 'admin', member: null })
    })
  })

  test('of whoever may give it no more is told as revoked', async () => {
    const { id: maker, key: as } = await newKey(['*'])
    const { body } = await link({ role: 'viewer' }, { as })
    await ask(`/v1/api-keys/${maker}`, { method: 'DELETE' })
    expect((await ask(`/v1/admin-links/${body.id}`)).body.status).toBe('revoked')
    const { data } = (await ask('/v1/admin-links?limit=100')).body
    expect(data.find(({ id }: { id: string }) => id === body.id).status).toBe('revoked')
  })

  test.each<[string, object]>([
    ['longer than seven days', { role: 'viewer', expiresIn: 7 * 86_400 + 1 }],
    ['shorter than ten seconds', { role: 'viewer', expiresIn: 9 }],
    ['for a role that is none', { role: 'root' }],
    ['to another host', { role: 'viewer', returnPath: '//evil.example/' }],
    ['out of the console', { role: 'viewer', returnPath: '/../../v1/tenant' }],
    ['out of the console, spelt otherwise', { role: 'viewer', returnPath: '/%2e%2e/x' }],
    ['with a backslash', { role: 'viewer', returnPath: '/\\evil.example' }],
  ])('is not made %s', async (_, body) => {
    expect(code(await link(body))).toBe('422 validation_failed')
  })

  test('opens nothing but the way in', async () => {
    const { body } = await link({ role: 'owner' })
    for (const path of ['/v1/tenant', '/v1/sessions', '/console/v1/session']) {
      expect(code(await ask(path, { as: body.url }))).toBe('401 credential_invalid')
    }
    expect(code(await ask('/console/v1/entry'))).toBe('401 credential_invalid')
  })
})

describe('a session', () => {
  test('may do what its role may, and is named in the trail', async () => {
    const session = await signedIn('viewer')
    expect((await ask('/v1/projects', { as: session })).status).toBe(200)
    const refused = await ask('/v1/projects', { as: session, method: 'POST', body: { name: 'Mine' } })
    expect(code(refused)).toBe('403 insufficient_scope')
    const admin = await signedIn('admin')
    const made = await ask('/v1/projects', { as: admin, method: 'POST', body: { name: 'Mine' } })
    expect(made.status).toBe(201)
    const entry = (await trail()).find(({ target }: { target: string }) => target === made.body.id)
    expect(entry.actor).toEqual({ kind: 'session', id: admin.sessionId })
    expect(code(await link({ role: 'owner' }, { as: admin }))).toBe('403 insufficient_scope')
    expect((await link({ role: 'admin' }, { as: admin })).status).toBe(201)
  })

  test('is listed, and ended alone, by itself, or with all others', async () => {
    const [one, two, three] = [await signedIn('admin'), await signedIn('viewer'), await signedIn('viewer')]
    const ids = async () =>
      (await ask('/v1/sessions?limit=100')).body.data.map((each: { id: string }) => each.id)
    expect(await ids()).toEqual(expect.arrayContaining([one.sessionId, two.sessionId, three.sessionId]))
    expect(JSON.stringify((await ask('/v1/sessions?limit=100')).body)).not.toContain(one.secretHash)
    expect((await ask(`/v1/sessions/${two.sessionId}`, { as: one, method: 'DELETE' })).status).toBe(204)
    expect(code(await ask('/v1/tenant', { as: two }))).toBe('401 credential_invalid')
    const itself = { as: three, method: 'DELETE', requestId: newId('req') }
    expect((await ask('/console/v1/session', itself)).status).toBe(204)
    // As an edge sends it again whose answer was lost.
    expect((await ask('/console/v1/session', itself)).status).toBe(204)
    expect(code(await ask('/v1/tenant', { as: three }))).toBe('401 credential_invalid')
    expect((await ask('/v1/sessions', { method: 'DELETE' })).status).toBe(204)
    expect(code(await ask('/v1/tenant', { as: one }))).toBe('401 credential_invalid')
    expect(await ids()).toEqual([])
  })

  test('has an ETag that its use does not change, and is not ended by who knows another one', async () => {
    const session = await signedIn('viewer')
    const path = `/v1/sessions/${session.sessionId}`
    const read = async () => (await ask(path)).headers.get('etag') ?? ''
    const end = (tag: string) => ask(path, { method: 'DELETE', headers: { 'if-match': tag } })
    const tag = await read()
    pass(2 * MINUTE_MS)
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
    await us.flush()
    const { body } = await ask(path)
    expect(body.lastUsedAt).not.toBe(body.createdAt)
    expect(await read()).toBe(tag)
    expect(code(await end('"another"'))).toBe('412 precondition_failed')
    expect((await end(tag)).status).toBe(204)
  })

  test('that is ended takes the links with it that it made and nobody has used', async () => {
    const admin = await signedIn('admin')
    const { body: own } = await link({ role: 'viewer' }, { as: admin })
    const { body: other } = await link({ role: 'viewer' })
    await ask(`/v1/sessions/${admin.sessionId}`, { method: 'DELETE' })
    expect(code(await peek(own.url))).toBe('410 admin_link_revoked')
    expect((await peek(other.url)).status).toBe(200)
    await ask('/v1/sessions', { method: 'DELETE' })
    expect(code(await peek(other.url))).toBe('410 admin_link_revoked')
  })

  test('ends with all others, and every link does, however many newer ones there are', async () => {
    const admin = await signedIn('admin')
    const viewer = await signedIn('viewer')
    const { body: own } = await link({ role: 'viewer', expiresIn: 600 }, { as: admin })
    const { body: other } = await link({ role: 'viewer', expiresIn: 600 })
    await crowd(own.id, viewer.sessionId, 600)
    const statusOf = async ({ id }: { id: string }) => (await ask(`/v1/admin-links/${id}`)).body.status
    const present = async (session: SessionPrincipal) =>
      (await ask(`/v1/sessions/${session.sessionId}`)).status

    await ask(`/v1/sessions/${admin.sessionId}`, { method: 'DELETE' })
    expect(code(await enter(own.url, newSession()))).toBe('410 admin_link_revoked')
    expect([await statusOf(own), await statusOf(other)]).toEqual(['revoked', 'open'])
    expect((await peek(other.url)).status).toBe(200)
    expect([await present(viewer), (await ask('/v1/tenant', { as: viewer })).status]).toEqual([200, 200])

    expect((await ask('/v1/sessions', { method: 'DELETE' })).status).toBe(204)
    expect(code(await enter(other.url, newSession()))).toBe('410 admin_link_revoked')
    expect(await statusOf(other)).toBe('revoked')
    expect(code(await ask('/v1/tenant', { as: viewer }))).toBe('401 session_ended')
    expect(await present(viewer)).toBe(404)
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await ask(`/v1/sessions?limit=100${cursor && `&cursor=${cursor}`}`)
      expect(body.data).toEqual([])
      cursor = body.nextCursor
    }
    expect((await ask('/v1/tenant', { as: await signedIn('viewer') })).status).toBe(200)
  })

  test('does not end before its use is written down', async () => {
    const session = await signedIn('viewer')
    pass(30 * MINUTE_MS - 10_000)
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
    pass(MINUTE_MS)
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
    await us.flush()
    pass(30 * MINUTE_MS)
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
  })

  test('ends after half an hour without use, and after twelve hours in any case', async () => {
    const idle = await signedIn('viewer')
    const busy = await signedIn('viewer')
    for (let minutes = 0; minutes < 12 * 60 - 20; minutes += 20) {
      pass(20 * MINUTE_MS)
      expect((await ask('/v1/tenant', { as: busy })).status).toBe(200)
      await us.flush()
    }
    expect(code(await ask('/v1/tenant', { as: idle }))).toBe('401 session_ended')
    pass(20 * MINUTE_MS)
    expect(code(await ask('/v1/tenant', { as: busy }))).toBe('401 session_ended')
    expect((await ask('/v1/sessions')).body.data).toEqual([])
  })

  test('with a wrong secret, or of another tenant, is nobody’s', async () => {
    const session = await signedIn('owner')
    const invented = { ...session, secretHash: newSession().secretHash }
    expect(code(await ask('/v1/tenant', { as: invented }))).toBe('401 credential_invalid')
    const other = await regions.newTenant('other', 'us')
    const tenant = tenantNumberOf(other.id) ?? session.tenant
    expect(code(await ask('/v1/tenant', { as: { ...session, tenant } }))).toBe('401 credential_invalid')
    expect(code(await ask('/v1/tenant', { as: { ...session, claimedTenant: 'other' } }))).toBe(
      '403 tenant_mismatch',
    )
  })

  test('of a member is never more than the member, and goes with them', async () => {
    const owner = { email: 'o@people.example' }
    const { body } = await regions.ask('us', {
      as: 'operator',
      method: 'POST',
      path: '/platform/v1/tenants',
      body: { slug: 'people', name: 'People', region: 'us', plan: 'team', owner },
    })
    const as = body.apiKey.key
    const session = { ...newSession(), tenant: tenantNumberOf(body.tenant.id) ?? newSession().tenant }
    expect((await enter(body.adminLink.url, session)).status).toBe(201)
    const { body: members } = await ask('/v1/members', { as: session })
    const first: Id<'mem'> = members.data[0].id
    const identity = { issuer: 'https://id.example', subject: 'second' }
    await ask('/v1/members', { as, method: 'POST', body: { identity, role: 'owner' } })
    await ask(`/v1/members/${first}`, { as, method: 'PATCH', body: { role: 'viewer' } })
    const create = { as: session, method: 'POST', body: { name: 'No more' } }
    expect(code(await ask('/v1/projects', create))).toBe('403 insufficient_scope')
    await ask(`/v1/members/${first}`, { as, method: 'DELETE' })
    expect(code(await ask('/v1/projects', { as: session }))).toBe('401 session_ended')
  })
})

describe('a suspended organisation', () => {
  const set = (status: string) =>
    regions.ask('us', {
      as: 'operator',
      method: 'PATCH',
      path: `/platform/v1/tenants/${id}`,
      body: { status },
    })
  beforeEach(async () => void (await set('active')))
  afterEach(async () => void (await set('active')))

  test('lets nobody in, and stops who is in at once', async () => {
    const session = await signedIn('owner')
    const { body } = await link({ role: 'owner' })
    await set('suspended')
    expect(code(await ask('/v1/tenant', { as: session }))).toBe('403 tenant_suspended')
    expect(code(await enter(body.url, newSession()))).toBe('403 tenant_suspended')
    await set('active')
    expect((await ask('/v1/tenant', { as: session })).status).toBe(200)
  })
})

describe('the organisation', () => {
  test('changes its name and how its people see it, by parts', async () => {
    const patch = (body: object, more: Partial<Ask> = {}) =>
      ask('/v1/tenant', { method: 'PATCH', body, ...more })
    const first = await patch({ customisation: { displayName: 'Acme', accentColor: '#CC0000' } })
    expect([first.status, first.body.customisation]).toEqual([
      200,
      { displayName: 'Acme', logoUrl: null, accentColor: '#cc0000' },
    ])
    const { body } = await patch({ name: 'Acme Ltd', customisation: { displayName: null } })
    expect([body.name, body.customisation.displayName, body.customisation.accentColor]).toEqual([
      'Acme Ltd',
      null,
      '#cc0000',
    ])
    const stale = { headers: { 'if-match': first.headers.get('etag') ?? '' } }
    expect(code(await patch({ name: 'Late' }, stale))).toBe('412 precondition_failed')
  })

  test.each([
    { logoUrl: 'javascript:alert(1)' },
    { logoUrl: 'http://logo.example/a.png' },
    { logoUrl: 'https://logo.example/a.png; script-src *' },
    { logoUrl: 'https://logo.example:84433/a.png' },
    { logoUrl: 'https://10.0.0.999/a.png' },
    { logoUrl: 'data:text/html;base64,PGI+' },
    { accentColor: 'red' },
    { accentColor: '#fff' },
    { displayName: 'a\nb' },
  ])('takes no %o', async (customisation) => {
    const answer = await ask('/v1/tenant', { method: 'PATCH', body: { customisation } })
    expect(code(answer)).toBe('422 validation_failed')
  })
})
test('a link needs nothing said: it is an admin’s, for a quarter of an hour', async () => {
  const { status, body } = await ask('/v1/admin-links', { method: 'POST' })
  expect([status, body.role, body.returnPath]).toEqual([201, 'admin', '/'])
})
