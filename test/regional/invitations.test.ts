import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { type Id, newId } from '../../shared/ids.ts'
import type { JwtPrincipal, Principal } from '../../shared/principal.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { decoded, type Mailbox, openMailbox } from '../support/mailbox.ts'
import { type Answer, type Ask, type Regions, startRegions } from './support.ts'

/** Without mail: `us` of one pair; with mail: of the other. */
let plain: Regions
let mailing: Regions
let mailbox: Mailbox
let nowMs: number | undefined
beforeAll(async () => {
  mailbox = await openMailbox()
  plain = await startRegions({ now: () => nowMs ?? Date.now() })
  mailing = await startRegions({}, (environment) =>
    startRegion(
      readConfig({ ...environment, SMTP_URL: mailbox.url, MAIL_FROM: 'Coditect <hello@mail.test>' }),
      {
        writeLog: () => {},
        now: () => nowMs ?? Date.now(),
      },
    ),
  )
})
afterAll(async () => {
  await Promise.all([plain.close(), mailing.close()])
  await mailbox.close()
})

let made = 0
async function newTenant(regions = plain, provider: object = {}) {
  const slug = `inviting-${++made}`
  const { id, key } = await regions.newTenant(slug, 'us')
  const ask = (path: string, more: Partial<Ask> & { as?: string | Principal } = {}): Promise<Answer> =>
    regions.ask('us', { as: key, path, ...more })
  const post = (path: string, body: unknown, as: string | Principal = key) =>
    ask(path, { as, method: 'POST', body })
  const number = tenantNumberOf(id)
  if (number === undefined) throw new Error('no number')
  const issuer = 'https://login.example.com/'
  const { body: idp } = await post('/v1/identity-providers', { name: 'Login', issuer, ...provider })
  const person = (subject: string, more: Partial<JwtPrincipal> = {}): JwtPrincipal => ({
    kind: 'jwt',
    tenant: number,
    providerId: idp.id as Id<'idp'>,
    issuer,
    audience: idp.audience,
    subject,
    expiresAtMs: (nowMs ?? Date.now()) + 60_000,
    ...more,
  })
  const tokenOf = (url: string) => new URL(url).searchParams.get('token')
  return {
    ask,
    post,
    person,
    invite: async (role = 'member', more: object = {}, as: string | Principal = key) => {
      const answer = await post('/v1/invitations', { email: 'ann@example.com', role, ...more }, as)
      return { ...answer, token: answer.body.url ? tokenOf(answer.body.url) : null }
    },
    accept: (token: string | null, as: Principal | string) => post('/v1/invitations/accept', { token }, as),
    key,
    number,
    slug,
  }
}
const told = ({ status, body }: Answer) => [status, body?.code]

describe('an invitation', () => {
  test('makes a member of who accepts it, by issuer and subject, and works once', async () => {
    const { ask, invite, accept, person } = await newTenant()
    const { status, body, token } = await invite('member')
    expect(status).toBe(201)
    expect(body).toMatchObject({ status: 'open', delivery: 'link', role: 'member', member: null })
    expect(Date.parse(body.expiresAt) - Date.parse(body.createdAt)).toBe(7 * 24 * 3_600_000)
    const ann = person('ann', { email: 'somebody.else@example.com' })
    const refused = await ask('/v1/projects', { as: ann })
    expect(told(refused)).toEqual([403, 'not_a_member'])
    // The edge holds back whoever is no member, also from trying invitations.
    expect(refused.headers.get('coditect-credential-refused')).toBe('not_a_member')
    const tried = await accept('ci_invented', ann)
    expect(tried.headers.get('coditect-credential-refused')).toBe(tried.body?.code)
    const accepted = await accept(token, ann)
    expect(accepted.status).toBe(200)
    const again = await accept(token, ann)
    expect([again.status < 400, again.headers.get('coditect-credential-refused')]).toEqual([false, null])
    expect(accepted.body).toMatchObject({
      role: 'member',
      decidedBy: 'organisation',
      identity: { subject: 'ann' },
      email: 'ann@example.com',
    })
    expect((await ask('/v1/projects', { as: ann })).status).toBe(200)
    expect((await ask(`/v1/invitations/${body.id}`)).body).toMatchObject({
      status: 'accepted',
      member: accepted.body.id,
    })
    const back = await ask(`/v1/invitations/${body.id}`, { method: 'DELETE' })
    expect([...told(back), back.body.detail]).toEqual([
      ...[409, 'conflict', expect.stringContaining(`DELETE /v1/members/${accepted.body.id}`)],
    ])
    expect((await ask('/v1/projects', { as: ann })).status).toBe(200)
    expect(told(await accept(token, person('bob')))).toEqual([410, 'invitation_used'])
    expect(told(await ask('/v1/projects', { as: person('bob') }))).toEqual([403, 'not_a_member'])
  })

  test('of several who accept it at the same time lets in one', async () => {
    const { ask, invite, accept, person } = await newTenant()
    const { token } = await invite()
    const answers = await Promise.all(['a', 'b', 'c', 'd'].map((who) => accept(token, person(who))))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 410, 410, 410])
    expect((await ask('/v1/members')).body.data).toHaveLength(2)
  })

  test('is shown once: neither a list nor the invitation itself has the token', async () => {
    const { ask, invite } = await newTenant()
    const { body, token } = await invite()
    const later = JSON.stringify([
      (await ask('/v1/invitations')).body,
      (await ask(`/v1/invitations/${body.id}`)).body,
      (await ask('/v1/audit')).body,
      (await ask('/v1/events')).body,
    ])
    expect(later).toContain(body.id)
    expect(later).not.toContain(token)
  })

  test('that was taken back, has expired, was altered or is another organisation’s lets nobody in', async () => {
    const one = await newTenant()
    const other = await newTenant()
    const revoked = await one.invite()
    for (let i = 0; i < 2; i++) {
      expect((await one.ask(`/v1/invitations/${revoked.body.id}`, { method: 'DELETE' })).status).toBe(204)
    }
    expect(told(await one.accept(revoked.token, one.person('ann')))).toEqual([410, 'invitation_revoked'])

    const short = await one.invite('viewer', { expiresIn: 60 })
    nowMs = Date.now() + 61_000
    const late = await one.accept(short.token, one.person('ann'))
    nowMs = undefined
    expect(told(late)).toEqual([410, 'invitation_expired'])

    const { token } = await one.invite()
    const altered = `${token?.slice(0, -1)}${token?.endsWith('0') ? '1' : '0'}`
    expect(told(await one.accept(altered, one.person('ann')))).toEqual([404, 'not_found'])
    expect(told(await other.accept(token, other.person('ann')))).toEqual([404, 'not_found'])
    expect(told(await one.accept('nonsense', one.person('ann')))).toEqual([422, 'validation_failed'])
  })

  test('is accepted by a person, not by a key', async () => {
    const { invite, accept, key } = await newTenant()
    const { token } = await invite()
    expect(told(await accept(token, key))).toEqual([403, 'insufficient_scope'])
  })

  test('needs a sign-in that holds: an expired token, or of no provider, is refused', async () => {
    const { invite, accept, person } = await newTenant()
    const { token } = await invite()
    for (const wrong of [{ expiresAtMs: Date.now() - 60_000 }, { audience: 'another' }]) {
      expect(told(await accept(token, person('ann', wrong)))).toEqual([401, 'credential_invalid'])
    }
  })

  test('gives no role above the inviter’s, and none above theirs is taken back by them', async () => {
    const { ask, invite, accept, person } = await newTenant()
    const admin = person('admin')
    await accept((await invite('admin')).token, admin)
    expect(told(await invite('owner', {}, admin))).toEqual([403, 'insufficient_scope'])
    expect((await invite('admin', {}, admin)).status).toBe(201)
    const ofOwner = await invite('owner')
    const path = `/v1/invitations/${ofOwner.body.id}`
    expect(told(await ask(path, { as: admin, method: 'DELETE' }))).toEqual([403, 'insufficient_scope'])
    const viewer = person('viewer')
    await accept((await invite('viewer')).token, viewer)
    expect(told(await invite('viewer', {}, viewer))).toEqual([403, 'insufficient_scope'])
  })

  test('accepted by its token alone makes a member and begins their session, in one commit', async () => {
    const { ask, invite, number } = await newTenant()
    const { body } = await invite('admin')
    const [sessionId, secretHash] = [newId('ses'), toBase64url(randomBytes(32))]
    const accepting: Partial<Ask> = {
      ...{ as: body.url, method: 'POST', body: { userAgent: 'a browser' } },
      ...{ entering: { begins: { sessionId, secretHash } }, headers: { 'idempotency-key': sessionId } },
    }
    const accepted = await ask('/console/v1/invitation', accepting)
    expect(accepted.status).toBe(200)
    const session: Principal = { kind: 'session', tenant: number, sessionId, secretHash }
    const { body: presence } = await ask('/console/v1/session', { as: session })
    const own = { role: 'admin', member: accepted.body.id, email: 'ann@example.com', userAgent: 'a browser' }
    expect(presence.session).toMatchObject(own)
    expect((await ask('/console/v1/invitation', accepting)).body).toEqual(accepted.body)
    const stranger = { ...accepting, entering: { begins: { sessionId: newId('ses'), secretHash } } }
    expect(told(await ask('/console/v1/invitation', stranger))).toEqual([410, 'invitation_used'])
    expect((await ask('/v1/members')).body.data).toHaveLength(2)
    expect((await ask('/v1/sessions')).body.data).toHaveLength(1)
    const { body: trail } = await ask('/v1/audit')
    expect(trail.data).toContainEqual(
      expect.objectContaining({ action: 'members.accept-in-console', target: accepted.body.id }),
    )
    // Once: it was asked for twice.
    expect((await ask(`/v1/audit?target=${sessionId}`)).body.data).toMatchObject([
      { action: 'sessions.sign-in', actor: { kind: 'member', id: accepted.body.id } },
    ])
    const { body: made } = await ask('/v1/projects', { as: session, method: 'POST', body: { name: 'Hers' } })
    expect((await ask(`/v1/audit?target=${made.id}`)).body.data).toMatchObject([
      { actor: { kind: 'session', id: sessionId, member: accepted.body.id } },
    ])
  })

  test('ends with whoever made it, or with their right to give its role', async () => {
    const { ask, post, invite, accept, person } = await newTenant()
    const opened = ({ url }: Answer['body']) => ask('/console/v1/invitation', { as: url })
    const newKey = async () => (await post('/v1/api-keys', { name: 'leaked', scopes: ['*'] })).body
    const key = await newKey()
    const admin = person('admin')
    const { body: member } = await accept((await invite('admin')).token, admin)
    const [byKey, byAdmin, lesser] = [
      await invite('admin', { expiresIn: 2_592_000 }, key.key),
      await invite('admin', {}, admin),
      await invite('viewer', {}, admin),
    ]
    expect(byAdmin.body.invitedBy).toEqual({ kind: 'member', id: member.id })
    await ask(`/v1/api-keys/${key.id}`, { method: 'DELETE' })
    await ask(`/v1/members/${member.id}`, { method: 'PATCH', body: { role: 'member' } })
    const { body: list } = await ask('/v1/invitations?limit=100')
    const statusOf = (id: string) => list.data.find((each: Answer['body']) => each.id === id).status
    for (const { token, body } of [byKey, byAdmin]) {
      expect([statusOf(body.id), (await ask(`/v1/invitations/${body.id}`)).body.status]).toEqual([
        'revoked',
        'revoked',
      ])
      expect(told(await opened(body))).toEqual([410, 'invitation_revoked'])
      const begins = { sessionId: newId('ses'), secretHash: toBase64url(randomBytes(32)) }
      const taken = await ask('/console/v1/invitation', {
        as: body.url,
        method: 'POST',
        body: { userAgent: null },
        entering: { begins },
      })
      expect(told(taken)).toEqual([410, 'invitation_revoked'])
      expect(told(await accept(token, person('second')))).toEqual([410, 'invitation_revoked'])
    }
    expect(statusOf(lesser.body.id)).toBe('open')
    expect((await opened(lesser.body)).status).toBe(200)
    await ask(`/v1/members/${member.id}`, { method: 'DELETE' })
    expect(told(await accept(lesser.token, person('second')))).toEqual([410, 'invitation_revoked'])
    expect((await ask('/v1/members')).body.data).toHaveLength(1)
  })

  test('made in the console is of whoever stands behind the session, and is taken back with all of them', async () => {
    const { ask, post, invite, accept, person, number } = await newTenant()
    const opened = ({ url }: Answer['body']) => ask('/console/v1/invitation', { as: url })
    const admin = person('admin')
    const { body: member } = await accept((await invite('admin')).token, admin)
    const secretHash = toBase64url(randomBytes(32))
    const sessionId = newId('ses')
    const body = { id: sessionId, secretHash, email: null, userAgent: null }
    expect((await post('/console/v1/sign-in', body, admin)).status).toBe(201)
    const session: Principal = { kind: 'session', tenant: number, sessionId, secretHash }
    const inSession = await invite('member', {}, session)
    expect(inSession.body.invitedBy).toEqual({ kind: 'member', id: member.id })
    const byKey = await invite('member')
    expect((await ask('/console/v1/session', { as: session, method: 'DELETE' })).status).toBe(204)
    expect((await opened(inSession.body)).status).toBe(200)
    expect((await ask('/v1/sessions', { method: 'DELETE' })).status).toBe(204)
    for (const { token, body: made } of [inSession, byKey]) {
      expect(told(await accept(token, person('second')))).toEqual([410, 'invitation_revoked'])
      expect((await ask(`/v1/invitations/${made.id}`)).body.status).toBe('revoked')
    }
    expect((await ask('/v1/invitations?limit=1')).body.data[0].status).toBe('accepted')
  })

  test('gives whom a provider would let in, or did, the organisation’s role instead', async () => {
    const { invite, accept, person, ask } = await newTenant(plain, {
      createMembers: true,
      defaultRole: 'viewer',
    })
    const newcomer = await accept((await invite('admin')).token, person('new'))
    expect(newcomer.body).toMatchObject({ role: 'admin', decidedBy: 'organisation' })
    expect((await ask('/v1/projects', { as: person('old') })).status).toBe(200)
    const promoted = await accept((await invite('member')).token, person('old'))
    expect(promoted.body).toMatchObject({ role: 'member', decidedBy: 'organisation' })
    expect((await ask('/v1/members')).body.data).toHaveLength(3)
    expect(told(await accept((await invite('owner')).token, person('old')))).toEqual([409, 'conflict'])
  })

  test('lets someone back in who was removed', async () => {
    const { invite, accept, person, ask } = await newTenant()
    const first = await accept((await invite()).token, person('ann'))
    await ask(`/v1/members/${first.body.id}`, { method: 'DELETE' })
    expect(told(await ask('/v1/projects', { as: person('ann') }))).toEqual([403, 'not_a_member'])
    expect((await accept((await invite()).token, person('ann'))).status).toBe(200)
    expect((await ask('/v1/projects', { as: person('ann') })).status).toBe(200)
  })
})

describe('an invitation by mail', () => {
  const invitation = async ({ ask }: Awaited<ReturnType<typeof newTenant>>, id: string, delivery: string) =>
    vi.waitFor(async () => expect((await ask(`/v1/invitations/${id}`)).body.delivery).toBe(delivery), {
      timeout: 20_000,
      interval: 20,
    })

  test('arrives with a link that works, and is not shown to the inviter', async () => {
    const tenant = await newTenant(mailing)
    const { body, token } = await tenant.invite('viewer', { email: 'mail.one@example.com' })
    expect([body.url, token]).toEqual([null, null])
    await invitation(tenant, body.id, 'sent')
    const mail = mailbox.mails.find(({ to }) => to.includes('mail.one@example.com'))
    expect(mail?.from).toBe('hello@mail.test')
    const [found] = /ci_[0-9A-Za-z]+/.exec(decoded(mail?.raw ?? '')) ?? []
    expect((await tenant.accept(found ?? '', tenant.person('ann'))).status).toBe(200)
  })

  test('is sent again until the mail server takes it, once', async () => {
    const tenant = await newTenant(mailing)
    mailbox.refuseWith = 451
    const { body } = await tenant.invite('viewer', { email: 'mail.two@example.com' })
    expect((await tenant.ask(`/v1/invitations/${body.id}`)).body.delivery).toBe('sending')
    mailbox.refuseWith = undefined
    await invitation(tenant, body.id, 'sent')
    expect(mailbox.mails.filter(({ to }) => to.includes('mail.two@example.com'))).toHaveLength(1)
  })

  test('that the mail server will never take is told as refused', async () => {
    const tenant = await newTenant(mailing)
    mailbox.refuseWith = 550
    const { body } = await tenant.invite('viewer', { email: 'mail.three@example.com' })
    await invitation(tenant, body.id, 'refused')
    mailbox.refuseWith = undefined
  })

  test('goes to one mailbox three times an hour and no more: further invitations are links to pass on', async () => {
    const tenant = await newTenant(mailing)
    const invite = async (email: string, of = tenant) => {
      const { status, body, token } = await of.invite('viewer', { email })
      return { status, id: body.id, delivery: body.delivery, token }
    }
    const addresses = ['often@example.com', 'Often+1@example.com', 'often+two@Example.com']
    for (const email of addresses) {
      const { id, delivery, token } = await invite(email)
      expect([delivery, token]).toEqual(['sending', null])
      await invitation(tenant, id, 'sent')
      // Taking it back does not take the letter back.
      expect((await tenant.ask(`/v1/invitations/${id}`, { method: 'DELETE' })).status).toBe(204)
    }
    const further = await Promise.all([1, 2, 3].map((i) => invite(`often+more${i}@example.com`)))
    for (const { status, delivery, token } of further) {
      expect([status, delivery, token]).toEqual([201, 'link', expect.stringMatching(/^ci_/)])
    }
    const [{ id, token } = { id: '', token: null }] = further
    expect((await tenant.ask(`/v1/invitations/${id}`)).body.delivery).toBe('link')
    expect((await tenant.accept(token, tenant.person('often'))).status).toBe(200)
    // Neither another mailbox nor another organisation is held back by it.
    expect((await invite('seldom@example.com')).delivery).toBe('sending')
    expect((await invite('often@example.com', await newTenant(mailing))).delivery).toBe('sending')
    nowMs = Date.now() + 61 * 60_000
    await invitation(tenant, (await invite('often@example.com')).id, 'sent')
    nowMs = undefined
    const got = () => mailbox.mails.filter(({ to }) => /often/i.test(to.join()))
    await expect.poll(() => got().length).toBe(5)
  })

  test('carries a tenant’s name as text: not in its subject, no header of its own, no markup', async () => {
    const tenant = await newTenant(mailing)
    const name = 'Evil <b>& "Co"</b>'
    expect((await tenant.ask('/v1/tenant', { method: 'PATCH', body: { name } })).status).toBe(200)
    const { body } = await tenant.invite('viewer', { email: 'mail.four@example.com' })
    await invitation(tenant, body.id, 'sent')
    const raw = decoded(mailbox.mails.find(({ to }) => to.includes('mail.four@example.com'))?.raw ?? '')
    expect(raw).toContain('Evil &lt;b&gt;&amp; &quot;Co&quot;&lt;/b&gt;')
    expect(raw.split('text/html')[1]).not.toContain('<b>')
    expect(/^Subject: (.*)$/m.exec(raw)?.[1]?.trim()).toBe(
      `You are invited to the organisation ${tenant.slug}`,
    )
  })
})
