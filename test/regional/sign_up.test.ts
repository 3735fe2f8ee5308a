// Signing up at its authority, the control region: what counts as tried, and what its link comes to; also while the sealing
// key is replaced.
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { jsonLog } from '../../regional/log.ts'
import type { Letter } from '../../regional/mail/letter.ts'
import type { Delivery } from '../../regional/mail/mailer.ts'
import type { Reply } from '../../regional/operation.ts'
import type { Calls } from '../../regional/platform/calls.ts'
import { Directory } from '../../regional/platform/directory.ts'
import { type DigestKeys, OperatorRequests } from '../../regional/platform/operator_requests.ts'
import { TenantProvisioner } from '../../regional/platform/provisioning.ts'
import { signUpCalls, type Visitor } from '../../regional/platform/sign_up.ts'
import { auditOf } from '../../regional/tenancy/audit.ts'
import { beginEra, takenBackAt } from '../../regional/tenancy/ended.ts'
import { TenantEraser } from '../../regional/tenancy/erasure.ts'
import { Sealer } from '../../regional/tenancy/idempotency.ts'
import { TenantLifecycle } from '../../regional/tenancy/lifecycle.ts'
import {
  adminLinkSpace,
  credentialSpace,
  issuerSpace,
  type MemberRecord,
  memberSpace,
  providerSpace,
  type StatusRecord,
  signedUpSpace,
  statusSpace,
} from '../../regional/tenancy/records.ts'
import { newId } from '../../shared/ids.ts'
import { SIGN_UP_CALL, type SignedUp } from '../../shared/sign_up.ts'
import { type TenantNumber, tenantId } from '../../shared/tenant.ts'
import { openQueue, type Queue } from '../jobs/support.ts'

const [old, fresh] = [randomBytes(32), randomBytes(32)]
const asked = { slug: 'acme', name: 'Acme', email: 'ada@acme.example', region: 'us' }
const visitor = { clientIp: '203.0.113.7', publicOrigin: 'https://api.test', requestId: 'req_1' }
const letters: Letter[] = []
/** What the mail server says. */
let delivery: () => Promise<Delivery>
/** The tenants that their home was asked to make. */
const made: TenantNumber[] = []

/** The region where they live: its database is the control region's. */
function home(): Calls {
  const { database, clock } = queue
  const record = {
    ...{ id: newId('key'), name: 'First', scopes: ['*'], secretHash: '' },
    ...{ createdAt: new Date(clock.nowMs).toISOString(), expiresAt: null },
  }
  const lifecycle = new TenantLifecycle({
    ...{ database, region: 'us', sealer: new Sealer(old), now: () => clock.nowMs },
    mint: async () => ({ text: '', record }),
    linkAdmin: async ({ linkId }) => ({
      url: `https://api.test/admin/enter?link=${linkId}`,
      secretHash: linkId,
    }),
  })
  const calls: Pick<Calls, 'provision' | 'activate' | 'linkForSignedUp'> = {
    linkForSignedUp: async ({ number, asked, by }) =>
      (await lifecycle.linkForSignedUp(number, asked, by)) ?? null,
    async provision({ number, intent, by }) {
      made.push(number)
      return lifecycle.provision(number, intent, by)
    },
    async activate({ number }) {
      await lifecycle.activate(number)
      return null
    },
  }
  return calls as Calls
}

let queue: Queue
beforeEach(async () => {
  queue = await openQueue()
  delivery = async () => ({ outcome: 'sent' })
})
afterEach(() => queue.close())

/** What an instance with these keys is asked to do. */
function instance(...keys: DigestKeys) {
  const { database, clock } = queue
  const now = () => clock.nowMs
  const directory = new Directory(database)
  const calls = signUpCalls({
    mailer: {
      send(letter) {
        letters.push(letter)
        return delivery()
      },
      close() {},
    },
    regions: ['us'],
    provisioner: new TenantProvisioner(database, directory, home, new OperatorRequests(database, keys, now)),
    sealer: new Sealer(...keys),
    digestKeys: keys,
    ...{ callsTo: home, database, directory, now },
  })
  return async (
    step: '' | '/confirm' | '/link' | '/read',
    body: object,
    more: Partial<Visitor> = {},
  ): Promise<Reply | undefined> => {
    const call = calls.find(
      ({ declaration: { method, path } }) => method === 'post' && path === `${SIGN_UP_CALL}${step}`,
    )
    return call?.prepare({
      ...{ params: {}, query: {}, contentType: 'application/json', body: Buffer.from(JSON.stringify(body)) },
      ...{ ifMatch: undefined, idempotencyKey: undefined, lastEventId: undefined, header: () => undefined },
    })({ ...visitor, ...more })
  }
}

const tokenSent = () => new URL(letters.at(-1)?.link?.url ?? '').searchParams.get('token')

test('a link that is opened before and after makes one organisation', async () => {
  await instance(old)('', asked)
  const token = tokenSent()
  await instance(old, fresh)('/confirm', { token })
  await instance(fresh, old)('/confirm', { token })
  expect(made).toHaveLength(2)
  expect(new Set(made).size).toBe(1)
})

test('a mailbox gets no more letters for it', async () => {
  const first: DigestKeys[] = [[old], [old, fresh], [fresh, old]]
  for (const keys of first) await instance(...keys)('', asked)
  const refused: DigestKeys[] = [
    [fresh, old],
    [old, fresh],
  ]
  for (const keys of refused) {
    await expect(instance(...keys)('', asked)).rejects.toMatchObject({ code: 'rate_limited' })
  }
})

test('a letter that could not be sent does not count; one that was, or was refused, does', async () => {
  const ask = instance(old)
  delivery = () => Promise.reject(new Error('the mail server is away'))
  for (let i = 0; i < 4; i++) await expect(ask('', asked)).rejects.toMatchObject({ code: 'mail_unavailable' })
  delivery = async () => ({ outcome: 'refused', why: '550' })
  await expect(ask('', asked)).rejects.toMatchObject({ code: 'validation_failed' })
  delivery = async () => ({ outcome: 'sent' })
  for (let i = 0; i < 2; i++) await ask('', asked)
  await expect(ask('', asked)).rejects.toMatchObject({ code: 'rate_limited' })
})

/** Signs up and confirms. */
async function signedUp(ask = instance(old)) {
  await ask('', asked)
  const token = tokenSent()
  const first = await ask('/confirm', { token })
  const [number] = made.slice(-1)
  if (number === undefined) throw new Error('nothing was made')
  const inMembers = (change: (member: MemberRecord) => MemberRecord) =>
    queue.inTenant(number, async (scope) => {
      const members = scope.service('members').space(memberSpace)
      for (const [key, member] of (await members.page({ limit: 10 })).entries)
        members.set(key, change(member))
    })
  const inProviders = (issuer: string, change: 'add' | 'delete') =>
    queue.inTenant(number, async (scope) => {
      const providers = scope.service('identity-providers')
      const id = newId('idp')
      if (change === 'delete') providers.space(issuerSpace).clear([issuer])
      else {
        providers.space(issuerSpace).set([issuer], id)
        providers.space(providerSpace).set([id], { ...provider, id, issuer })
      }
    })
  const inStatus = (status: StatusRecord['status']) =>
    queue.inTenant(number, async (scope) => {
      const standing = await scope.system('status', statusSpace).get(['status'])
      if (standing !== undefined) scope.system('status', statusSpace).set(['status'], { ...standing, status })
    })
  const links = () =>
    queue.inTenant(number, async (scope) => {
      const page = await scope.system('credentials', adminLinkSpace).page({ limit: 100 })
      return page.entries.map(([, link]) => link)
    })
  return { ask, token, first, number, inMembers, inProviders, inStatus, links }
}
const provider = {
  ...{ name: 'Login', audience: 'here', roleClaim: null, roleMapping: {}, defaultRole: null },
  ...{ allowedEmailDomains: null, createMembers: false, createdAt: '', updatedAt: '', version: 1 },
}
const linkOf = (reply: Reply | undefined) => (reply?.body as SignedUp | undefined)?.adminLink ?? ''

test('while its letter holds, each press lets the owner in by a link of its own, and one press is one link', async () => {
  const { ask, token, first, number, links } = await signedUp()
  expect(await ask('/confirm', { token })).toEqual(first)
  const later = await ask('/confirm', { token }, { requestId: 'req_later' })
  expect(linkOf(later)).not.toBe(linkOf(first))
  const kept = await links()
  expect(kept.map(({ id }) => id).toSorted()).toEqual(
    [first, later].map((reply) => linkOf(reply).split('=')[1]).toSorted(),
  )
  for (const link of kept) {
    expect(link).toMatchObject({ role: 'owner', email: asked.email, issuer: { kind: 'operator' } })
    expect(link.member).not.toBeNull()
    expect(link.expiresAtMs - queue.clock.nowMs).toBeLessThanOrEqual(15 * 60_000)
  }
  const { entries } = await queue.inTenant(number, (scope) => auditOf(scope).page(10))
  expect(entries.map(([, { action }]) => action).toSorted()).toEqual([
    ...['admin-links.create', 'admin-links.create', 'tenants.create'],
  ])
  queue.clock.nowMs += 3_600_000
  await expect(ask('/confirm', { token })).rejects.toMatchObject({ code: 'sign_up_expired' })
})

test('after all sessions were ended a letter lets its owner in again', async () => {
  const { ask, token, number, links } = await signedUp()
  await queue.inTenant(number, (scope) => beginEra(scope.service('sessions'), queue.clock.nowMs))
  await ask('/confirm', { token }, { requestId: 'req_later' })
  const kept = await links()
  const holds = await queue.inTenant(number, (scope) =>
    Promise.all(kept.map(async (link) => (await takenBackAt(scope.service('sessions'), link)) === null)),
  )
  expect(holds.toSorted()).toEqual([false, true])
})

test('nobody is left with a key that nobody has seen', async () => {
  const { number } = await signedUp()
  const keys = await queue.inTenant(number, (scope) =>
    scope.system('credentials', credentialSpace).page({ limit: 10 }),
  )
  expect(keys.entries).toEqual([])
})

test('a letter says whether its organisation is there', async () => {
  const ask = instance(old)
  await ask('', asked)
  const token = tokenSent()
  expect((await ask('/read', { token }))?.body).toMatchObject({ made: false })
  // Somebody else takes the slug meanwhile.
  await ask('', { ...asked, email: 'eve@acme.example' })
  const ofEve = tokenSent()
  await ask('/confirm', { token })
  expect((await ask('/read', { token }))?.body).toMatchObject({ made: true })
  expect((await ask('/read', { token: ofEve }))?.body).toMatchObject({ made: false })
  await expect(ask('/confirm', { token: ofEve })).rejects.toMatchObject({ code: 'slug_taken' })
  expect((await ask('/read', { token: ofEve }))?.body).toMatchObject({ made: false })
})

test('a letter lets nobody in where its owner is none any more, has an identity, or the organisation is suspended', async () => {
  const { ask, token, inMembers, inProviders, inStatus, links } = await signedUp()
  const press = (requestId: string) => ask('/confirm', { token }, { requestId })
  const refused = { code: 'conflict', detail: expect.stringContaining('lets nobody in') }
  await inMembers((member) => ({ ...member, role: 'admin' }))
  await expect(press('req_2')).rejects.toMatchObject(refused)
  const identity = { issuer: 'https://login.example/', subject: 'ada' }
  await inMembers((member) => ({ ...member, role: 'owner', identity }))
  await inProviders(identity.issuer, 'add')
  await expect(press('req_3')).rejects.toMatchObject(refused)
  await inMembers((member) => ({ ...member, identity: null }))
  await inStatus('suspended')
  await expect(press('req_4')).rejects.toMatchObject(refused)
  expect(await links()).toHaveLength(1)
  await inStatus('active')
  expect(await press('req_5')).toMatchObject({ status: 201 })
  // One at a provider that is gone again leads in no more.
  await inMembers((member) => ({ ...member, identity }))
  await expect(press('req_6')).rejects.toMatchObject(refused)
  await inProviders(identity.issuer, 'delete')
  expect(await press('req_7')).toMatchObject({ status: 201 })
})

test('who signed up is sent a link later, and nobody else is; the answer is the same, and so is what counts', async () => {
  const { ask, links } = await signedUp()
  queue.clock.nowMs += 7 * 24 * 3_600_000
  const before = letters.length
  const strange = [
    { slug: 'acme', email: 'eve@acme.example' },
    { slug: 'nobody', email: asked.email },
  ]
  for (const [i, body] of strange.entries()) {
    expect(await ask('/link', body, { requestId: `req_s${i}` })).toEqual({ status: 204 })
  }
  expect(await ask('/link', { slug: 'acme', email: 'Ada@acme.example' })).toEqual({ status: 204 })
  await expect.poll(() => letters.length).toBe(before + 1)
  // To the address as it was confirmed, however it was spelled now.
  expect(letters.at(-1)).toMatchObject({ to: asked.email, link: { url: expect.stringMatching(/link=lnk_/) } })
  const [newest] = (await links()).slice(-1)
  expect((newest?.expiresAtMs ?? 0) - queue.clock.nowMs).toBeLessThanOrEqual(3_600_000)
  // Whoever asks for others in the owner's name takes nothing of theirs.
  for (let i = 0; i < 4; i++) await ask('/link', { slug: 'nobody', email: asked.email })
  await ask('/link', { slug: 'acme', email: asked.email }, { requestId: 'req_l' })
  await expect.poll(() => letters.length).toBe(before + 2)
  // Their own are three an hour, and the answer does not say so.
  for (let i = 0; i < 3; i++) {
    await ask('/link', { slug: 'acme', email: asked.email }, { requestId: `req_l${i}` })
  }
  await expect.poll(() => letters.length).toBe(before + 3)
  await expect.poll(async () => (await links()).length).toBe(1 + 3)
})

test('an owner whose address no letter has confirmed is sent no link', async () => {
  const { number, ask, token } = await signedUp()
  await queue.inTenant(number, async (scope) => scope.system('profile', signedUpSpace).clear(['signed-up']))
  expect(await home().linkForSignedUp({ number, ...linkAsked })).toBeNull()
  // As an earlier version leaves it, which made the organisation by that very letter.
  expect(await ask('/confirm', { token }, { requestId: 'req_10' })).toMatchObject({ status: 201 })
  expect(await home().linkForSignedUp({ number, ...linkAsked })).not.toBeNull()
})
const linkAsked = {
  asked: { email: asked.email, seconds: 60 },
  by: { operatorId: 'sign-up', requestId: 'req_9', publicOrigin: visitor.publicOrigin },
}

test('a letter of a stranger’s has the name that they gave in its body alone', async () => {
  await instance(old)('', { ...asked, name: 'Click https://evil.example/prize to win' })
  const { subject, paragraphs } = letters.at(-1) ?? {}
  expect(subject).toBe('Confirm the organisation acme')
  expect(paragraphs?.[0]).toContain('“Click https://evil.example/prize to win”')
})

test('the trail of what a link has made says so; once that is being erased, the link says so and makes nothing', async () => {
  const ask = instance(old)
  await ask('', asked)
  const token = tokenSent()
  expect(await ask('/confirm', { token })).toMatchObject({ status: 201 })
  const [number] = made.slice(-1)
  if (number === undefined) throw new Error('nothing was made')
  const id = tenantId(number, queue.clock.nowMs)
  const { entries } = await queue.inTenant(number, (scope) => auditOf(scope).page(10))
  expect(entries.map(([, entry]) => entry)).toContainEqual(
    expect.objectContaining({
      action: 'tenants.create',
      target: id,
      actor: { kind: 'operator', id: 'sign-up' },
      requestId: visitor.requestId,
    }),
  )

  const eraser = new TenantEraser({
    ...queue,
    release: async () => {},
    overwriteCleared: () => {},
    log: jsonLog('us', () => {}),
    now: () => queue.clock.nowMs,
  })
  await eraser.begin(number, id, { operatorId: 'ops', requestId: 'req_2' }, undefined)
  await expect(ask('/confirm', { token })).rejects.toMatchObject({
    code: 'conflict',
    detail: expect.stringMatching(/deleted.*Sign up again/),
  })
})
