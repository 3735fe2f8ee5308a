// The letter of an invitation: how it went is always told in the end, and none goes out for an invitation that has ended.
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Mailer } from '../../regional/mail/mailer.ts'
import { sendInvitation } from '../../regional/services/members/invitation_letter.ts'
import {
  type CredentialRecord,
  credentialSpace,
  type InvitationRecord,
  invitationSpace,
} from '../../regional/tenancy/records.ts'
import type { TenantScope } from '../../regional/tenancy/region_database.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from './support.ts'

const HOUR_MS = 60 * 60 * 1000

let queue: Queue
let tenant: TenantNumber
let tries: number
beforeEach(async () => {
  queue = await openQueue()
  tenant = await queue.tenant(1)
  tries = 0
})
afterEach(() => queue.close())

const invitationsOf = (scope: TenantScope) => scope.service('members').space(invitationSpace)
const credentialsOf = (scope: TenantScope) => scope.system('credentials', credentialSpace)

const away = async (): Promise<never> => {
  tries++
  throw new Error('the mail server is away')
}

async function invite(send: Mailer['send'], more: Partial<InvitationRecord> = {}) {
  const { nowMs } = queue.clock
  const id = newId('inv', nowMs)
  const key: CredentialRecord = {
    ...{ id: newId('key', nowMs), name: 'a key', scopes: ['*'], secretHash: '' },
    ...{ createdAt: new Date(nowMs).toISOString(), expiresAt: null },
  }
  const invitation: InvitationRecord = {
    ...{ id, secretHash: '', email: 'ann@example.com', role: 'member', delivery: 'sending' },
    invitedBy: { kind: 'api_key', id: key.id },
    ...{ createdAt: new Date(nowMs).toISOString(), expiresAtMs: nowMs + 7 * 24 * HOUR_MS },
    ...{ accepted: null, revokedAt: null, ...more },
  }
  const put = (record: InvitationRecord) =>
    queue.inTenant(tenant, (scope) => invitationsOf(scope).set([id], record))
  await queue.inTenant(tenant, (scope) => credentialsOf(scope).set([key.id], key))
  await put(invitation)
  const mailer = { send, close() {} }
  const seal = { seal: (text: string) => text, open: (text: string) => text }
  const kind = sendInvitation(mailer, seal)
  const job = await queue.enqueue(tenant, kind, { invitation: id, sealed: '{}' })
  queue.worker({ kinds: [kind], scanEveryMs: 20 })
  return {
    delivery: async () => (await queue.inTenant(tenant, (scope) => invitationsOf(scope).get([id])))?.delivery,
    endMaker: () => queue.inTenant(tenant, (scope) => credentialsOf(scope).clear([key.id])),
    revoke: () => put({ ...invitation, revokedAt: new Date(queue.clock.nowMs).toISOString() }),
    job: async () => {
      const { state, failures, error } = (await queue.job(tenant, job)) ?? {}
      return { state, failures, error }
    },
  }
}

test('that nobody takes for a day is told as not sent, by its job too', async () => {
  const { delivery, job } = await invite(away)
  await expect
    .poll(
      async () => {
        queue.clock.nowMs += 2 * HOUR_MS
        return delivery()
      },
      { timeout: 20_000, interval: 50 },
    )
    .toBe('not_sent')
  expect(tries).toBe(24)
  expect(await job()).toMatchObject({ state: 'failed', error: 'No mail server took the letter.' })
})

test.each([
  ['the invitation was taken back', 'revoke'],
  ['whoever made it may not give the role any more', 'endMaker'],
] as const)('is not sent any more once %s', async (_, how) => {
  const { delivery, job, [how]: end } = await invite(away)
  await expect.poll(() => job()).toMatchObject({ failures: 1 })
  const before = tries
  await end()
  queue.clock.nowMs += HOUR_MS
  await expect.poll(delivery).toBe('not_sent')
  expect(tries).toBe(before)
  expect(await job()).toMatchObject({ state: 'done' })
})

test.each<[string, (nowMs: number) => Partial<InvitationRecord>]>([
  ['has expired', (nowMs) => ({ expiresAtMs: nowMs })],
  ['was accepted', (nowMs) => ({ accepted: { at: new Date(nowMs).toISOString(), member: newId('mem') } })],
])('is not sent when the invitation %s', async (_, ended) => {
  const { delivery } = await invite(away, ended(queue.clock.nowMs))
  await expect.poll(delivery).toBe('not_sent')
  expect(tries).toBe(0)
})

test('of an open invitation is sent', async () => {
  const { delivery } = await invite(async () => ({ outcome: 'sent' }))
  await expect.poll(delivery).toBe('sent')
})
