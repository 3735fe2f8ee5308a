// Signing up at its authority, the control region: what counts as tried, and what its link comes to; also while the sealing
// key is replaced.
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Letter } from '../../regional/mail/letter.ts'
import type { Delivery } from '../../regional/mail/mailer.ts'
import type { Reply } from '../../regional/operation.ts'
import type { Calls } from '../../regional/platform/calls.ts'
import { Directory } from '../../regional/platform/directory.ts'
import { type DigestKeys, OperatorRequests } from '../../regional/platform/operator_requests.ts'
import { TenantProvisioner } from '../../regional/platform/provisioning.ts'
import { signUpCalls } from '../../regional/platform/sign_up.ts'
import { auditOf } from '../../regional/tenancy/audit.ts'
import { TenantEraser } from '../../regional/tenancy/erasure.ts'
import { Sealer } from '../../regional/tenancy/idempotency.ts'
import { TenantLifecycle } from '../../regional/tenancy/lifecycle.ts'
import { newId } from '../../shared/ids.ts'
import { SIGN_UP_CALL } from '../../shared/sign_up.ts'
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
    linkAdmin: async () => ({ url: 'https://api.test/admin/enter', secretHash: '' }),
  })
  const calls: Pick<Calls, 'provision' | 'activate'> = {
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
    ...{ database, directory, now },
  })
  return async (step: '' | '/confirm', body: object): Promise<Reply | undefined> => {
    const call = calls.find(
      ({ declaration: { method, path } }) => method === 'post' && path === `${SIGN_UP_CALL}${step}`,
    )
    return call?.prepare({
      ...{ params: {}, query: {}, contentType: 'application/json', body: Buffer.from(JSON.stringify(body)) },
      ...{ ifMatch: undefined, idempotencyKey: undefined, lastEventId: undefined, header: () => undefined },
    })(visitor)
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

test('the trail of what a link has made says so; once that is being erased, the link says so and makes nothing', async () => {
  const ask = instance(old)
  await ask('', asked)
  const token = tokenSent()
  expect(await ask('/confirm', { token })).toMatchObject({ status: 201 })
  const [number] = made.slice(-1)
  if (number === undefined) throw new Error('nothing was made')
  const id = tenantId(number, queue.clock.nowMs)
  const { entries } = await queue.inTenant(number, (scope) => auditOf(scope).page(10))
  expect(entries.map(([, entry]) => entry)).toMatchObject([
    {
      action: 'tenants.create',
      target: id,
      actor: { kind: 'operator', id: 'sign-up' },
      requestId: visitor.requestId,
    },
  ])

  const eraser = new TenantEraser({ ...queue, release: async () => {}, now: () => queue.clock.nowMs })
  await eraser.begin(number, id, { operatorId: 'ops', requestId: 'req_2' }, undefined)
  await expect(ask('/confirm', { token })).rejects.toMatchObject({
    code: 'conflict',
    detail: expect.stringMatching(/deleted.*Sign up again/),
  })
})
