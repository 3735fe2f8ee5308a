// Members and identity providers in the region: what it makes of a token that the edge has checked.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { CLIENT_IP } from '../../shared/headers.ts'
import { type Id, newId } from '../../shared/ids.ts'
import type { JwtPrincipal, Principal, SessionPrincipal } from '../../shared/principal.ts'
import { ROLE_SCOPES, ROLES, type Role } from '../../shared/roles.ts'
import { allows, RESOURCES } from '../../shared/scopes.ts'
import { readSnapshot } from '../../shared/snapshot.ts'
import { type TenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { type Answer, type Ask, type Regions, startRegions } from './support.ts'

const ISSUER = 'https://login.example.com/'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions()
})
afterAll(() => regions.close())

const ask = (as: string | Principal, path: string, more: Partial<Ask> = {}): Promise<Answer> =>
  regions.ask('us', { as, path, ...more })

interface Tenant {
  id: string
  key: string
  number: TenantNumber
}

let made = 0
async function newTenant(): Promise<Tenant> {
  const tenant = await regions.newTenant(`people-${++made}`, 'us')
  const number = tenantNumberOf(tenant.id)
  if (number === undefined) throw new Error('no number')
  return { ...tenant, number }
}

const provide = async ({ key }: Tenant, body: object = {}): Promise<Answer['body']> => {
  const wanted = { name: 'Login', issuer: ISSUER, createMembers: true, defaultRole: 'viewer', ...body }
  const answer = await ask(key, '/v1/identity-providers', { method: 'POST', body: wanted })
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return answer.body
}

/** As the edge would say it of a token of `subject`. */
const person = (
  { number }: Tenant,
  provider: { id: string; issuer: string; audience: string },
  subject: string,
  more: Partial<JwtPrincipal> = {},
): JwtPrincipal => ({
  kind: 'jwt',
  tenant: number,
  providerId: provider.id as Id<'idp'>,
  issuer: provider.issuer,
  audience: provider.audience,
  subject,
  expiresAtMs: Date.now() + 60_000,
  ...more,
})

/** As the edge does when somebody comes back from their provider. */
async function sessionOf(who: JwtPrincipal): Promise<SessionPrincipal> {
  const secretHash = toBase64url(randomBytes(32))
  const sessionId = newId('ses')
  const body = { id: sessionId, secretHash, email: null, userAgent: null }
  const headers = { [CLIENT_IP]: '192.0.2.7' }
  const begun = await ask(who, '/console/v1/sign-in', { method: 'POST', body, headers })
  expect(begun.status, JSON.stringify(begun.body)).toBe(201)
  return { kind: 'session', tenant: who.tenant, sessionId, secretHash }
}

const membersOf = async ({ key }: Tenant): Promise<Answer['body'][]> =>
  (await ask(key, '/v1/members?limit=100')).body.data

const memberOf = async (tenant: Tenant, subject: string) =>
  (await membersOf(tenant)).find(({ identity }) => identity?.subject === subject)

const code = ({ status, body }: Answer) => [status, body?.code]
const newProject = { method: 'POST', body: { name: 'Mine' } }

test('the documentation shows the table of roles as it is', () => {
  const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
  for (const role of ROLES) {
    expect(page).toContain(`| \`${role}\` | ${ROLE_SCOPES[role].map((scope) => `\`${scope}\``).join(' ')} |`)
  }
})

test('each role allows what the next one does, and more', () => {
  ROLES.slice(1).forEach((role, i) => {
    const above = ROLE_SCOPES[ROLES[i] ?? 'owner']
    for (const scope of ROLE_SCOPES[role]) expect(allows(above, scope), `${ROLES[i]} ${scope}`).toBe(true)
    expect(above).not.toEqual(ROLE_SCOPES[role])
  })
})

test('a key revokes itself and what it could have made; whoever may write keys revokes any that has leaked', async () => {
  const tenant = await newTenant()
  const newKey = async (...scopes: string[]) =>
    (await ask(tenant.key, '/v1/api-keys', { method: 'POST', body: { name: 'a key', scopes } })).body
  const revoke = async (as: string | Principal, { id }: Answer['body']) => {
    const answer = await ask(as, `/v1/api-keys/${id}`, { method: 'DELETE' })
    return answer.status === 204 ? 204 : code(answer)
  }
  const [strong, weak, weaker] = [
    await newKey('*'),
    await newKey('api-keys:write'),
    await newKey('api-keys:read'),
  ]
  expect(await revoke(weak.key, strong)).toEqual([403, 'insufficient_scope'])
  expect(code(await ask(strong.key, '/v1/projects'))).toEqual([200, undefined])
  expect(await revoke(weak.key, weaker)).toBe(204)
  expect(await revoke(weak.key, weak)).toBe(204)
  const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { ops: 'admin' } })
  const inGroups = (subject: string, values: string[]) =>
    person(tenant, provider, subject, { roles: { claim: 'groups', values } })
  expect(await revoke(inGroups('bob', []), strong)).toEqual([403, 'insufficient_scope'])
  expect(await revoke(inGroups('ann', ['ops']), strong)).toBe(204)
  expect(await revoke(tenant.key, await newKey('*'))).toBe(204)
})

test('a key says who made it, keeps its maker when it is rotated, and goes on without them', async () => {
  const tenant = await newTenant()
  const keysOf = async () => (await ask(tenant.key, '/v1/api-keys')).body.data as Answer['body'][]
  const [first] = await keysOf()
  expect(first.createdBy).toMatchObject({ kind: 'operator' })
  const create = { method: 'POST', body: { name: 'Mine', scopes: ['projects:read'] } }
  const { body: byKey } = await ask(tenant.key, '/v1/api-keys', create)
  expect(byKey.createdBy).toEqual({ kind: 'api_key', id: first.id })
  const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { ops: 'admin' } })
  const ann = person(tenant, provider, 'ann', { roles: { claim: 'groups', values: ['ops'] } })
  const { body: made } = await ask(ann, '/v1/api-keys', create)
  const { id } = await memberOf(tenant, 'ann')
  const session = await sessionOf(ann)
  const { body: inConsole } = await ask(session, '/v1/api-keys', create)
  const { body: rotated } = await ask(tenant.key, `/v1/api-keys/${made.id}/rotate`, { method: 'POST' })
  for (const each of [made, inConsole, rotated]) expect(each.createdBy).toEqual({ kind: 'member', id })
  expect((await ask(tenant.key, `/v1/members/${id}`, { method: 'DELETE' })).status).toBe(204)
  for (const { key } of [made, inConsole, rotated]) {
    expect(code(await ask(key, '/v1/projects'))).toEqual([200, undefined])
  }
  expect((await keysOf()).filter(({ createdBy }) => createdBy?.id === id)).toHaveLength(3)
})

/** Of which nobody below the role named has anything. */
const KEPT_FROM_LOWER_ROLES: Readonly<Record<string, Role>> = {
  'signed-urls': 'owner',
  'api-keys': 'admin',
  'identity-providers': 'admin',
  events: 'admin',
  audit: 'admin',
  'admin-links': 'admin',
  sessions: 'admin',
  domains: 'admin',
  'webhook-sources': 'admin',
  'webhook-endpoints': 'admin',
}

test('each role may at least read everything that is not kept from it', () => {
  for (const resource of RESOURCES) {
    const lowest = ROLES.indexOf(KEPT_FROM_LOWER_ROLES[resource] ?? 'viewer')
    const reading = ROLES.filter((role) => allows(ROLE_SCOPES[role], `${resource}:read`))
    expect(reading, `${resource}: add it to ROLE_SCOPES`).toEqual(ROLES.slice(0, lowest + 1))
  }
})

describe('the first sign-in', () => {
  test.each([
    ['reading', {}, 200],
    ['writing', newProject, 201],
  ])('makes a member, once, by %s', async (_, request, status) => {
    const tenant = await newTenant()
    const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { dev: 'member' } })
    const ann = person(tenant, provider, 'ann', {
      email: 'ann@example.com',
      roles: { claim: 'groups', values: ['dev'] },
    })
    const headers = { [CLIENT_IP]: '192.0.2.7' }
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => ask(ann, '/v1/projects', { ...request, headers })),
    )
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => status))
    const members = await membersOf(tenant)
    expect(members).toHaveLength(2)
    expect(members[1]).toMatchObject({
      email: 'ann@example.com',
      role: 'member',
      decidedBy: 'provider',
      identity: { issuer: ISSUER, subject: 'ann' },
    })
    const { body: trail } = await ask(tenant.key, '/v1/audit')
    const joins = trail.data.filter(({ action }: { action: string }) => action === 'members.join')
    const { id } = members[1]
    expect(joins).toMatchObject([{ actor: { kind: 'member', id }, target: id, ip: '192.0.2.7' }])
    if (status === 201) {
      const create = trail.data.find(({ action }: { action: string }) => action === 'projects.create')
      expect(create.actor).toEqual({ kind: 'member', id: members[1].id })
    }
  })

  test('makes nobody a member whose request is refused, or whom no rule lets in', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, {
      defaultRole: null,
      roleClaim: 'groups',
      roleMapping: { dev: 'viewer' },
      allowedEmailDomains: ['example.com'],
    })
    const come = (email: string | undefined, values: string[], path = '/v1/projects', more = {}) =>
      ask(
        person(tenant, provider, 'bob', { ...(email && { email }), roles: { claim: 'groups', values } }),
        path,
        more,
      )
    expect(code(await come('bob@example.com', []))).toEqual([403, 'not_a_member'])
    expect(code(await come('bob@example.com', ['constructor', '__proto__']))).toEqual([403, 'not_a_member'])
    expect(code(await come('bob@example.com.evil.test', ['dev']))).toEqual([403, 'not_a_member'])
    expect(code(await come('example.com@evil.test', ['dev']))).toEqual([403, 'not_a_member'])
    expect(code(await come('example.com', ['dev']))).toEqual([403, 'not_a_member'])
    expect(code(await come(undefined, ['dev']))).toEqual([403, 'not_a_member'])
    expect(code(await come('bob@example.com', ['dev'], '/v1/projects', newProject))).toEqual([
      403,
      'insufficient_scope',
    ])
    expect(await membersOf(tenant)).toHaveLength(1)
    expect((await come('bob@EXAMPLE.com', ['dev'])).status).toBe(200)
    expect(await membersOf(tenant)).toHaveLength(2)
  })

  test('makes no member where the provider makes none, not even of one with the owner’s address', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, { createMembers: false })
    const [owner] = await membersOf(tenant)
    const impostor = person(tenant, provider, 'mallory', { email: owner.email })
    expect(code(await ask(impostor, '/v1/projects'))).toEqual([403, 'not_a_member'])
    expect(code(await ask(impostor, '/v1/projects', newProject))).toEqual([403, 'not_a_member'])
    const linked = await ask(tenant.key, `/v1/members/${owner.id}`, {
      method: 'PATCH',
      body: { identity: { issuer: ISSUER, subject: 'olivia' } },
    })
    expect(linked.body).toMatchObject({ id: owner.id, role: 'owner', identity: { subject: 'olivia' } })
    const olivia = person(tenant, provider, 'olivia')
    expect((await ask(olivia, '/v1/api-keys')).status).toBe(200)
    expect(code(await ask(impostor, '/v1/projects'))).toEqual([403, 'not_a_member'])
  })

  test('is limited by the plan, exactly', async () => {
    const tenant = await newTenant()
    await ask('operator', `/platform/v1/tenants/${tenant.id}`, { method: 'PATCH', body: { plan: 'free' } })
    const provider = await provide(tenant)
    const answers = await Promise.all(
      Array.from({ length: 15 }, (_, i) => ask(person(tenant, provider, `p${i}`), '/v1/projects')),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(9)
    for (const answer of answers) if (answer.status !== 200) expect(answer.body.code).toBe('quota_exceeded')
    expect(await membersOf(tenant)).toHaveLength(10)
  })
})

describe('from the commit on', () => {
  test('of a provider’s deletion its tokens are refused, and the edge is told', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant)
    const ann = person(tenant, provider, 'ann')
    expect((await ask(ann, '/v1/projects')).status).toBe(200)
    await ask(tenant.key, `/v1/identity-providers/${provider.id}`, { method: 'DELETE' })
    const refused = await ask(ann, '/v1/projects')
    expect(code(refused)).toEqual([401, 'credential_invalid'])
    expect(refused.headers.get('coditect-stale-providers')).toBe('1')
  })

  test('of another audience, tokens for the old one are refused', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant)
    const ann = person(tenant, provider, 'ann')
    expect((await ask(ann, '/v1/projects')).status).toBe(200)
    const path = `/v1/identity-providers/${provider.id}`
    await ask(tenant.key, path, { method: 'PATCH', body: { audience: 'another' } })
    expect(code(await ask(ann, '/v1/projects'))).toEqual([401, 'credential_invalid'])
  })

  test('of a member’s removal they are refused, and no provider lets them in again', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant)
    const ann = person(tenant, provider, 'ann')
    expect((await ask(ann, '/v1/projects')).status).toBe(200)
    const { id } = await memberOf(tenant, 'ann')
    expect((await ask(tenant.key, `/v1/members/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect(code(await ask(ann, '/v1/projects'))).toEqual([403, 'not_a_member'])
    const identity = { issuer: ISSUER, subject: 'ann' }
    const again = await ask(tenant.key, '/v1/members', { method: 'POST', body: { identity, role: 'member' } })
    expect(again.status).toBe(201)
    expect((await ask(ann, '/v1/projects', newProject)).status).toBe(201)
  })

  test('a role follows the token, until the organisation sets one', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, {
      roleClaim: 'groups',
      roleMapping: { ops: 'admin', dev: 'member' },
    })
    const ann = (...values: string[]) =>
      person(tenant, provider, 'ann', { roles: { claim: 'groups', values } })
    expect((await ask(ann('dev', 'ops'), '/v1/api-keys')).status).toBe(200)
    expect(code(await ask(ann('dev'), '/v1/api-keys'))).toEqual([403, 'insufficient_scope'])
    expect(code(await ask(ann(), '/v1/projects', newProject))).toEqual([403, 'insufficient_scope'])
    const { id } = await memberOf(tenant, 'ann')
    await ask(tenant.key, `/v1/members/${id}`, { method: 'PATCH', body: { role: 'viewer' } })
    expect(code(await ask(ann('ops'), '/v1/projects', newProject))).toEqual([403, 'insufficient_scope'])
  })

  test('of another role claim, what an edge read from the old one counts for nothing', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { ops: 'admin' } })
    const ann = person(tenant, provider, 'ann', { roles: { claim: 'groups', values: ['ops'] } })
    const path = `/v1/identity-providers/${provider.id}`
    await ask(tenant.key, path, { method: 'PATCH', body: { roleClaim: 'roles' } })
    const stale = await ask(ann, '/v1/projects')
    expect(code(stale)).toEqual([503, 'identity_provider_unavailable'])
    // The edge asks again, so that no client sees it: nobody has failed.
    const metrics = await (await fetch(`${regions.url('us')}/metrics`)).text()
    const failed = metrics.match(/^coditect_request_duration_seconds_count\{.*status="5xx".*\} [1-9]\d*$/gm)
    expect(failed).toEqual([expect.stringContaining('class="none"')])
    expect(stale.headers.get('retry-after')).toBe('1')
  })
})

test('a token that has expired by the region’s clock is refused', async () => {
  const tenant = await newTenant()
  const provider = await provide(tenant)
  const late = person(tenant, provider, 'ann', { expiresAtMs: Date.now() - 6_000 })
  expect(code(await ask(late, '/v1/projects'))).toEqual([401, 'credential_invalid'])
})

describe('what someone whom a provider let in has begun', () => {
  const RULES = { roleClaim: 'groups', roleMapping: { ops: 'admin', dev: 'member' } }
  async function ann() {
    const tenant = await newTenant()
    const provider = await provide(tenant, RULES)
    const as = (...values: string[]) =>
      person(tenant, provider, 'ann', { email: 'ann@example.com', roles: { claim: 'groups', values } })
    const change = async (request: Partial<Ask>) => {
      const { status } = await ask(tenant.key, `/v1/identity-providers/${provider.id}`, request)
      expect([200, 204]).toContain(status)
    }
    const signIn = (...values: string[]) => sessionOf(as(...values))
    const link = async (by: Principal) => {
      const made = await ask(by, '/v1/admin-links', { method: 'POST', body: { role: 'admin' } })
      expect(made.status, JSON.stringify(made.body)).toBe(201)
      return (): Promise<Answer> => ask(made.body.url, '/console/v1/entry')
    }
    return { tenant, provider, as, signIn, link, change }
  }

  test('goes by what their token says now, not by what their first one said', async () => {
    const { tenant, as, signIn, link } = await ann()
    expect((await ask(as(), '/v1/projects')).status).toBe(200)
    const open = await link(as('ops'))
    expect((await open()).status).toBe(200)
    expect(await memberOf(tenant, 'ann')).toMatchObject({ role: 'admin', decidedBy: 'provider' })
    const session = await signIn('ops')
    expect((await ask(session, '/v1/api-keys')).status).toBe(200)
    expect((await (await link(session))()).status).toBe(200)
  })

  test('is told from the others of the same member in the trail, for good', async () => {
    const { tenant, signIn } = await ann()
    const session = await signIn('ops')
    const { id: member } = await memberOf(tenant, 'ann')
    const post = { method: 'POST', body: { name: 'Hers' } }
    const made = await ask(session, '/v1/projects', post)
    await ask(session, '/console/v1/session', { method: 'DELETE' })
    const trail = async (query: string) => (await ask(tenant.key, `/v1/audit?${query}`)).body.data
    const actor = { kind: 'session', id: session.sessionId, member }
    expect(await trail(`target=${session.sessionId}`)).toMatchObject([
      { action: 'sessions.end-own', actor },
      { action: 'sessions.sign-in', actor: { kind: 'member', id: member } },
    ])
    expect(await trail(`target=${made.body.id}`)).toMatchObject([{ action: 'projects.create', actor }])
    const actions = (await trail(`actor=${member}`)).map(({ action }: { action: string }) => action)
    expect(actions).toEqual(['sessions.end-own', 'projects.create', 'sessions.sign-in', 'members.join'])
    const { body: events } = await ask(tenant.key, '/v1/events?types=project.created')
    expect(events.data).toMatchObject([{ resource: made.body.id, actor }])
  })

  test('ends with the role, once they come as less', async () => {
    const { tenant, as, signIn, link } = await ann()
    const session = await signIn('ops')
    const open = await link(as('ops'))
    const less = await signIn('dev')
    expect(code(await open())).toEqual([410, 'admin_link_revoked'])
    expect(code(await ask(session, '/v1/projects'))).toEqual([401, 'session_ended'])
    expect((await ask(less, '/v1/projects')).status).toBe(200)
    const { body: events } = await ask(tenant.key, '/v1/events?limit=100')
    const { id, role } = await memberOf(tenant, 'ann')
    expect(role).toBe('member')
    expect(events.data).toContainEqual(expect.objectContaining({ type: 'member.updated', resource: id }))
    const { body: trail } = await ask(tenant.key, '/v1/audit?action=members.follow')
    const followed = { actor: { kind: 'member', id }, target: id, ip: '192.0.2.7', outcome: 'done' }
    expect(trail.data).toMatchObject([followed])
  })

  test('comes back by no token that was issued before they became less, but by a newer one', async () => {
    const { tenant, as, signIn, link } = await ann()
    const now = Math.floor(Date.now() / 1000)
    const issued = (iat: number, ...values: string[]) => ({ ...as(...values), iat: now + iat })
    const write = async (who: Principal) =>
      expect((await ask(who, '/v1/projects', newProject)).status).toBe(201)
    const early = issued(-60, 'ops')
    const session = await sessionOf(early)
    const open = await link(early)
    const invited = await ask(session, '/v1/invitations', {
      method: 'POST',
      body: { email: 'x@example.com', role: 'admin' },
    })
    const opened = () => ask(invited.body.url, '/console/v1/invitation')
    const isOver = async () => {
      expect(code(await ask(session, '/v1/projects'))).toEqual([401, 'session_ended'])
      expect(code(await open())).toEqual([410, 'admin_link_revoked'])
      expect(code(await opened())).toEqual([410, 'invitation_revoked'])
      expect(await memberOf(tenant, 'ann')).toMatchObject({ role: 'member' })
    }
    expect((await opened()).status).toBe(200)
    await write(issued(-40, 'dev'))
    await isOver()
    await write(early)
    await isOver()
    // The same word anew is newer than what was said between.
    await write(issued(-20, 'dev'))
    await write(issued(-30, 'ops'))
    await isOver()
    // One that does not say when it was issued is not known to be newer.
    await signIn('ops')
    await isOver()
    await write(issued(-10, 'ops'))
    expect((await ask(session, '/v1/api-keys')).status).toBe(200)
    expect((await open()).status).toBe(200)
  })

  test('goes by a provider whose clock is fast, too', async () => {
    const { tenant, as } = await ann()
    const later = Math.floor(Date.now() / 1000) + 3_600
    const write = (who: Principal) => ask(who, '/v1/projects', newProject)
    expect((await write({ ...as('ops'), iat: later })).status).toBe(201)
    expect((await write({ ...as('dev'), iat: later + 1 })).status).toBe(201)
    expect(await memberOf(tenant, 'ann')).toMatchObject({ role: 'member' })
  })

  test.each<[string, Partial<Ask>]>([
    ['is deleted', { method: 'DELETE' }],
    ['gives nobody that role any more', { method: 'PATCH', body: { roleMapping: { ops: 'member' } } }],
    ['gives nobody a role any more', { method: 'PATCH', body: { roleMapping: {}, defaultRole: null } }],
    ['gives others that role instead', { method: 'PATCH', body: { roleMapping: { boss: 'admin' } } }],
    ['takes roles from another claim', { method: 'PATCH', body: { roleClaim: 'roles' } }],
    ['lets in others alone', { method: 'PATCH', body: { allowedEmailDomains: ['other.example'] } }],
  ])('ends when the provider %s', async (_, request) => {
    const { as, signIn, link, change } = await ann()
    const session = await signIn('ops')
    const open = await link(as('ops'))
    expect((await open()).status).toBe(200)
    const invited = await ask(session, '/v1/invitations', {
      method: 'POST',
      body: { email: 'x@example.com', role: 'admin' },
    })
    expect(invited.status).toBe(201)
    await change(request)
    expect(code(await open())).toEqual([410, 'admin_link_revoked'])
    expect(code(await ask(session, '/v1/projects'))).toEqual([401, 'session_ended'])
    const made = { method: 'POST', body: { name: 'Mine', role: 'admin' } }
    expect(code(await ask(session, '/v1/admin-links', made))).toEqual([401, 'session_ended'])
  })

  test('outlives a change of the provider’s rules by which they keep their role', async () => {
    const { signIn, link, change } = await ann()
    const session = await signIn('ops', 'lead')
    const open = await link(session)
    for (const body of [
      { roleMapping: { ops: 'admin', boss: 'owner' } },
      { roleMapping: { lead: 'admin' }, defaultRole: null },
      { roleMapping: { lead: 'owner' }, allowedEmailDomains: ['other.example', 'example.com'] },
    ]) {
      await change({ method: 'PATCH', body })
      expect((await ask(session, '/v1/api-keys')).status).toBe(200)
      expect((await open()).status).toBe(200)
    }
  })

  test('goes by the groups that they last came with, which are told to nobody', async () => {
    const { tenant, signIn, change } = await ann()
    await change({ method: 'PATCH', body: { roleMapping: { ops: 'admin', lead: 'admin' } } })
    const session = await signIn('ops')
    const before = await memberOf(tenant, 'ann')
    await signIn('lead')
    expect(await memberOf(tenant, 'ann')).toEqual(before)
    expect(JSON.stringify(before)).not.toContain('ops')
    await change({ method: 'PATCH', body: { roleMapping: { lead: 'admin' } } })
    expect((await ask(session, '/v1/api-keys')).status).toBe(200)
    await change({ method: 'PATCH', body: { roleMapping: { ops: 'admin' } } })
    expect(code(await ask(session, '/v1/api-keys'))).toEqual([401, 'session_ended'])
  })

  test('holds by the organisation’s word alone, once it has said what they are', async () => {
    const { tenant, provider, as, link } = await ann()
    expect((await ask(as('dev'), '/v1/projects')).status).toBe(200)
    const { headers, body } = await ask(as('dev'), `/v1/members/${(await memberOf(tenant, 'ann')).id}`)
    // Not as another has changed it meanwhile, although her token says more than the record does.
    const ifMatch = { 'if-match': headers.get('etag') ?? '' }
    const change = { method: 'PATCH', body: { role: 'admin' }, headers: ifMatch }
    const own = await ask(as('ops'), `/v1/members/${body.id}`, change)
    expect(own.body).toMatchObject({ role: 'admin', decidedBy: 'organisation' })
    const open = await link(as())
    await ask(tenant.key, `/v1/identity-providers/${provider.id}`, { method: 'DELETE' })
    expect((await open()).status).toBe(200)
  })
})

describe('there is always an owner', () => {
  test('the last one neither goes nor becomes less', async () => {
    const tenant = await newTenant()
    const [{ id }] = await membersOf(tenant)
    const path = `/v1/members/${id}`
    expect(code(await ask(tenant.key, path, { method: 'DELETE' }))).toEqual([409, 'conflict'])
    const demote = { method: 'PATCH', body: { role: 'admin' } }
    expect(code(await ask(tenant.key, path, demote))).toEqual([409, 'conflict'])
  })

  test('one who can sign in stays, whoever else is an owner and can’t', async () => {
    const tenant = await newTenant()
    /** In by the link of an invitation, without an identity. */
    async function invited(): Promise<void> {
      const body = { email: 'bob@example.com', role: 'owner' }
      const { url } = (await ask(tenant.key, '/v1/invitations', { method: 'POST', body })).body
      const begins = { sessionId: newId('ses'), secretHash: toBase64url(randomBytes(32)) }
      const accept = { method: 'POST', body: { userAgent: null }, entering: { begins } }
      expect((await ask(url, '/console/v1/invitation', accept)).status).toBe(200)
    }
    await Promise.all(Array.from({ length: 30 }, invited))
    const add = async (subject: string): Promise<string> => {
      const body = { identity: { issuer: ISSUER, subject }, role: 'owner' }
      return (await ask(tenant.key, '/v1/members', { method: 'POST', body })).body.id
    }
    const olivia = await add('olivia')
    for (const leave of [{ method: 'DELETE' }, { method: 'PATCH', body: { role: 'admin' } }]) {
      const refused = await ask(tenant.key, `/v1/members/${olivia}`, leave)
      expect(code(refused)).toEqual([409, 'conflict'])
      expect(refused.body.detail).toContain('sign in')
    }
    await add('oscar')
    expect((await ask(tenant.key, `/v1/members/${olivia}`, { method: 'DELETE' })).status).toBe(204)
    const [first] = await membersOf(tenant)
    expect((await ask(tenant.key, `/v1/members/${first.id}`, { method: 'DELETE' })).status).toBe(204)
  })

  test('whoever goes at the same time: one stays', async () => {
    const tenant = await newTenant()
    const add = (subject: string) =>
      ask(tenant.key, '/v1/members', {
        method: 'POST',
        body: { identity: { issuer: ISSUER, subject }, role: 'owner' },
      })
    await Promise.all(['a', 'b', 'c'].map(add))
    const all = await membersOf(tenant)
    expect(all.filter(({ role }) => role === 'owner')).toHaveLength(4)
    const answers = await Promise.all(
      all.map(({ id }, i) =>
        ask(
          tenant.key,
          `/v1/members/${id}`,
          i % 2 === 0 ? { method: 'DELETE' } : { method: 'PATCH', body: { role: 'viewer' } },
        ),
      ),
    )
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(1)
    expect((await membersOf(tenant)).filter(({ role }) => role === 'owner')).toHaveLength(1)
  })

  test('an owner by a provider’s word is none to count on', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { boss: 'owner' } })
    const boss = person(tenant, provider, 'boss', { roles: { claim: 'groups', values: ['boss'] } })
    const [{ id }] = await membersOf(tenant)
    expect(code(await ask(boss, `/v1/members/${id}`, { method: 'DELETE' }))).toEqual([409, 'conflict'])
  })
})

test('who ends their own membership is told so again, under the same request id and no other', async () => {
  const tenant = await newTenant()
  const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { ops: 'admin' } })
  const admin = person(tenant, provider, 'ann', { roles: { claim: 'groups', values: ['ops'] } })
  await ask(admin, '/v1/tenant')
  const member = (await membersOf(tenant)).find(({ role }) => role === 'admin')
  const leave = { method: 'DELETE', requestId: newId('req') }
  const path = `/v1/members/${member?.id}`
  const answers = [await ask(admin, path, leave), await ask(admin, path, leave)]
  expect(answers.map(({ status }) => status)).toEqual([204, 204])
  expect(code(await ask(admin, path, { method: 'DELETE' }))).toEqual([403, 'not_a_member'])
})

describe('nobody gives what they do not have', () => {
  test('an admin makes and unmakes admins, but no owner, and no identity provider', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, { roleClaim: 'groups', roleMapping: { ops: 'admin' } })
    const admin = person(tenant, provider, 'ann', { roles: { claim: 'groups', values: ['ops'] } })
    const add = (subject: string, role: string) =>
      ask(admin, '/v1/members', {
        method: 'POST',
        body: { identity: { issuer: ISSUER, subject }, role },
      })
    expect((await add('x', 'admin')).status).toBe(201)
    expect(code(await add('y', 'owner'))).toEqual([403, 'insufficient_scope'])
    const [owner] = await membersOf(tenant)
    for (const request of [
      { method: 'DELETE' },
      { method: 'PATCH', body: { role: 'viewer' } },
      { method: 'PATCH', body: { identity: { issuer: ISSUER, subject: 'ann2' } } },
    ]) {
      expect(code(await ask(admin, `/v1/members/${owner.id}`, request))).toEqual([403, 'insufficient_scope'])
    }
    const path = `/v1/identity-providers/${provider.id}`
    const mapping = { method: 'PATCH', body: { roleMapping: { ops: 'owner' } } }
    expect(code(await ask(admin, path, mapping))).toEqual([403, 'insufficient_scope'])
    const key = await ask(tenant.key, '/v1/api-keys', {
      method: 'POST',
      body: { name: 'idp', scopes: ['identity-providers:write', 'projects:write'] },
    })
    expect(code(await ask(key.body.key, path, mapping))).toEqual([403, 'insufficient_scope'])
    const made = await ask(admin, '/v1/api-keys', { method: 'POST', body: { name: 'all', scopes: ['*'] } })
    expect(code(made)).toEqual([403, 'insufficient_scope'])
  })

  test('an identity is one member’s, and stays theirs', async () => {
    const tenant = await newTenant()
    const [owner] = await membersOf(tenant)
    const body = { identity: { issuer: ISSUER, subject: 'ann' }, role: 'member' }
    const member = await ask(tenant.key, '/v1/members', { method: 'POST', body })
    expect(code(await ask(tenant.key, '/v1/members', { method: 'POST', body }))).toEqual([409, 'conflict'])
    const link = { method: 'PATCH', body: { identity: body.identity } }
    expect(code(await ask(tenant.key, `/v1/members/${owner.id}`, link))).toEqual([409, 'conflict'])
    const other = { method: 'PATCH', body: { identity: { issuer: ISSUER, subject: 'eve' } } }
    expect(code(await ask(tenant.key, `/v1/members/${member.body.id}`, other))).toEqual([409, 'conflict'])
  })
})

describe('an identity provider', () => {
  test('has the organisation’s own audience unless another is chosen, and never another organisation’s', async () => {
    const [tenant, other] = [await newTenant(), await newTenant()]
    const provider = await provide(tenant)
    expect(provider.audience).toBe(`coditect:${tenant.id}`)
    const path = `/v1/identity-providers/${provider.id}`
    const stolen = { method: 'PATCH', body: { audience: `coditect:${other.id}` } }
    const refused = await ask(tenant.key, path, stolen)
    expect(code(refused)).toEqual([422, 'validation_failed'])
    expect(refused.body.errors[0].pointer).toBe('/audience')
  })

  test('is one an issuer, whatever two ask for at the same time', async () => {
    const tenant = await newTenant()
    const request = { method: 'POST', body: { name: 'x', issuer: ISSUER } }
    const answers = await Promise.all([1, 2, 3].map(() => ask(tenant.key, '/v1/identity-providers', request)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409])
  })

  test.each([
    'http://login.example.com/',
    'http://127.0.0.1:8080',
    'http://localhost:8080',
    'https://127.0.0.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://[::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://10.0.0.1',
    'https://8.8.8.8',
    'https://localhost',
    'https://metadata.google.internal',
    'https://printer.local/',
    'https://intranet/',
    'https://login.example.com/?tenant=1',
    'https://login.example.com/#x',
    'https://user:word@login.example.com/',
    'https://LOGIN.example.com/',
    'https://login.example.com/a/../b',
    ' https://login.example.com/',
    'ftp://login.example.com/',
    'file:///etc/passwd',
    'login.example.com',
  ])('has no issuer such as %s', async (issuer) => {
    const tenant = await newTenant()
    const request = { method: 'POST', body: { name: 'x', issuer } }
    expect(code(await ask(tenant.key, '/v1/identity-providers', request))).toEqual([422, 'validation_failed'])
  })

  test('can be read, changed as it was read, and deleted', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant)
    const path = `/v1/identity-providers/${provider.id}`
    const { headers, body } = await ask(tenant.key, path)
    expect(body).toEqual(provider)
    const ifMatch = { 'if-match': headers.get('etag') ?? '' }
    const change = { method: 'PATCH', body: { name: 'New' }, headers: ifMatch }
    expect((await ask(tenant.key, path, change)).body.name).toBe('New')
    expect(code(await ask(tenant.key, path, change))).toEqual([412, 'precondition_failed'])
    expect((await ask(tenant.key, path, { method: 'DELETE' })).status).toBe(204)
    expect((await ask(tenant.key, path)).status).toBe(404)
    await provide(tenant)
  })
})

describe('what an edge asks for itself', () => {
  test('is answered to an edge, and to nobody else', async () => {
    const tenant = await newTenant()
    const provider = await provide(tenant, { roleClaim: 'groups' })
    const { number } = tenant
    const paths = [
      `/edge/v1/tenants/number/${number}`,
      `/edge/v1/tenants/slug/people-${made}`,
      `/edge/v1/identity-providers/${number}`,
      `/edge/v1/snapshots/${number}`,
    ]
    const answers = await Promise.all(paths.map((path) => ask({ kind: 'edge' }, path)))
    const { id, issuer, audience } = provider
    expect(answers.map(({ body }) => body)).toEqual([
      { tenant: { number: String(number), region: 'us' } },
      { tenant: { number: String(number), region: 'us' } },
      { outcome: 'known', providers: [{ id, issuer, audience, roleClaim: 'groups' }] },
      { snapshot: expect.stringMatching(/^\[\d+,\d+,"us",/) },
    ])
    for (const path of paths) {
      for (const as of [tenant.key, 'operator', 'region', person(tenant, provider, 'ann')]) {
        expect(code(await ask(as, path))).toEqual([401, 'credential_invalid'])
      }
    }
    expect(code(await ask({ kind: 'edge' }, '/v1/projects'))).toEqual([401, 'credential_invalid'])
  })

  test('of a tenant that is not there, says so', async () => {
    const edge = { kind: 'edge' } as const
    expect((await ask(edge, '/edge/v1/tenants/number/99999999')).body).toEqual({ tenant: null })
    expect((await ask(edge, '/edge/v1/tenants/slug/nobody-here')).body).toEqual({ tenant: null })
    expect((await ask(edge, '/edge/v1/identity-providers/99999999')).body).toEqual({ outcome: 'unknown' })
    expect((await ask(edge, '/edge/v1/snapshots/99999999')).body).toEqual({ snapshot: null })
  })

  test('a snapshot is told to an edge that has another one, and to no other', async () => {
    const { number } = await newTenant()
    const told = async (held: string) =>
      (await ask({ kind: 'edge' }, `/edge/v1/snapshots/${number}?held=${held}`)).body.snapshot
    const { epoch, version } = readSnapshot(await told('')) ?? {}
    expect(await told(`${epoch}.${version}`)).toBeNull()
    expect(await told(`${epoch}.9999`)).not.toBeNull()
  })
})
