// A service with every bug we could think of, planted into a real region: it reaches below its own types and asks for
// what is not its own. It gets nothing out and puts nothing in, and what it tried is a security event.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { keySelector, tuple } from '../../regional/storage/foundationdb.ts'
import { keySpace, serviceSubspace, systemSubspace } from '../../regional/storage/keys.ts'
import type { ByteTransaction } from '../../regional/storage/space.ts'
import {
  jsonSpace,
  type Service,
  type TenantTransaction,
  tenantOperation,
} from '../../regional/tenancy/service.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Regions, startRegions } from '../regional/support.ts'

const keys = keySpace('')
const own = jsonSpace<[string], unknown>('own')
const SYSTEM = Buffer.of(0xff)

/** The transaction below a space: nothing that a service's types show. */
const below = (tx: TenantTransaction) => (tx.space(own) as unknown as { tn: ByteTransaction }).tn

type Attempt = (tn: ByteTransaction, victim: Buffer, self: Buffer) => unknown
const at = (prefix: Buffer, ...more: Buffer[]) => Buffer.concat([prefix, ...more])
const project = (tenant: Buffer) => at(tenant, serviceSubspace('projects'), tuple.pack(['project']))

const ATTEMPTS: Readonly<Record<string, Attempt>> = {
  'reads another tenant’s status': (tn, victim) =>
    tn.get(at(victim, systemSubspace('status'), tuple.pack(['status', 'status']))),
  'reads a range of another tenant': (tn, victim) => tn.getRangeAll(victim, at(victim, SYSTEM)),
  'reads natively over the border': (tn, victim) =>
    tn.getRangeNative(
      keySelector.firstGreaterOrEqual(victim),
      keySelector.firstGreaterOrEqual(SYSTEM),
      10,
      0,
      -2,
      1,
      false,
    ),
  'writes into another tenant': (tn, victim) => tn.set(project(victim), Buffer.from('"planted"')),
  'adds natively to another tenant’s counter': (tn, victim) =>
    tn.atomicOpNative(2, at(victim, systemSubspace('usage')), Buffer.alloc(8)),
  'clears another tenant': (tn, victim) => tn.clearRange(victim, at(victim, SYSTEM)),
  'watches another tenant': (tn, victim) => tn.watch(at(victim, systemSubspace('status'))).promise,
  'conflicts with another tenant': (tn, victim) => tn.addWriteConflictRange(victim, at(victim, SYSTEM)),
  'asks for system keys': (tn) => tn.get(Buffer.from('\xff/metadataVersion', 'latin1')),
  'opens the system keys by option': (tn) => tn.setOption(301),
  'reads the platform’s directory': (tn) => tn.getRangeAll(keys.platform, at(keys.platform, SYSTEM)),
  'reads everything': (tn) => tn.getRangeAll(Buffer.of(0), SYSTEM),
  'reads its own tenant’s credentials': (tn, _, self) =>
    tn.getRangeAll(at(self, systemSubspace('credentials')), at(self, systemSubspace('credentials'), SYSTEM)),
  'lifts its own tenant’s suspension': (tn, _, self) =>
    tn.set(
      at(self, systemSubspace('status'), tuple.pack(['status', 'status'])),
      Buffer.from('{"status":"active"}'),
    ),
  'rewrites its own tenant’s audit trail': (tn, _, self) =>
    tn.clearRange(at(self, systemSubspace('audit')), at(self, systemSubspace('audit'), SYSTEM)),
  'raises its own quota': (tn, _, self) =>
    tn.clearRange(at(self, systemSubspace('quotas')), at(self, systemSubspace('quotas'), SYSTEM)),
  'reads another service’s keys': (tn, _, self) => tn.getRangeAll(project(self), at(project(self), SYSTEM)),
  'clears its whole tenant': (tn, _, self) => tn.clearRange(self, at(self, SYSTEM)),
  'stamps over its own prefix': (tn, _, self) =>
    tn.setVersionstampedKeyRaw(at(self, Buffer.alloc(20), Buffer.alloc(4)), Buffer.from('x')),
  'resets away what was checked and recorded before it': (tn) => tn.rawReset(),
  'commits before the platform is done': (tn) => tn.rawCommit(),
  'throttles another tenant by its tag': (tn) => tn.setOption(800, 'another'),
  'catches the refusal and commits all the same': async (tn, victim, self) => {
    tn.set(at(self, serviceSubspace('planted'), Buffer.from('kept')), Buffer.from('1'))
    await Promise.resolve(tn.get(victim)).catch(() => undefined)
  },
}

let regions: Regions
let victim: { id: string; key: string }
let attacker: { id: string; key: string }
const log: string[] = []

const planted: Service = {
  name: 'planted',
  operations: [
    tenantOperation({
      name: 'attempt',
      method: 'post',
      path: '/v1/planted/{how}',
      tag: 'Planted',
      summary: 'Does what it must not',
      scope: 'projects:write',
      params: z.object({ how: z.string() }),
      answers: { 200: z.unknown() },
      async handle(tx, { params }) {
        const prefixOf = (id: string) =>
          keys.tenant(
            tenantNumberOf(id) ??
              (() => {
                throw new Error('no id')
              })(),
          )
        const attempt = ATTEMPTS[decodeURIComponent(params.how)]
        const got = await attempt?.(below(tx), prefixOf(victim.id), prefixOf(attacker.id))
        return { status: 200, body: { got: String(got) } }
      },
    }),
    tenantOperation({
      name: 'forget',
      method: 'post',
      path: '/v1/planted/forget/{what}/{key}',
      tag: 'Planted',
      summary: 'Has forgotten what is not its own',
      scope: 'projects:write',
      params: z.object({ what: z.string(), key: z.string() }),
      answers: { 204: null },
      async handle(tx, { params: { what, key } }) {
        await tx.expire(what as 'admin-link', key, tx.context.nowMs - 3_600_000)
        return { status: 204 }
      },
    }),
  ],
}

beforeAll(async () => {
  regions = await startRegions({ extraServices: [planted], writeLog: (line) => log.push(line) })
  victim = await regions.newTenant('victim', 'us')
  attacker = await regions.newTenant('attacker', 'us')
  for (const { key } of [victim, attacker]) {
    await regions.ask('us', { as: key, method: 'POST', path: '/v1/projects', body: { name: 'Secret plans' } })
  }
})
afterAll(() => regions.close())

const stateOf = async ({ key }: { key: string }) => {
  const read = async (path: string) => (await regions.ask('us', { as: key, path })).body
  const { data: keys } = await read('/v1/api-keys')
  return {
    tenant: await read('/v1/tenant'),
    // When they were last used is written a while after a request, in a transaction of its own.
    keys: keys.map((each: Record<string, unknown>) => ({ ...each, lastUsedAt: undefined })),
    projects: await read('/v1/projects'),
  }
}

describe('a service that', () => {
  test.each(Object.keys(ATTEMPTS))('%s gets nothing, changes nothing, and is seen', async (how) => {
    const before = [await stateOf(victim), await stateOf(attacker)]
    log.length = 0
    const path = `/v1/planted/${encodeURIComponent(how)}`
    const answer = await regions.ask('us', { as: attacker.key, method: 'POST', path })
    expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
    expect(JSON.stringify(answer.body)).not.toMatch(/Secret|victim|planted|stack/)
    expect([await stateOf(victim), await stateOf(attacker)]).toEqual(before)
    const events = log.map((line) => JSON.parse(line)).filter(({ event }) => event === 'isolation_violation')
    expect(events).toHaveLength(1)
    expect(JSON.stringify(events)).not.toContain('Secret')
  })
})

test.each([
  'admin-link',
  'session',
  'ended-session',
  'api-key',
  'ended-key',
  'invitation',
  'delivery',
  'request',
  'job',
])('a service that has ‘%s’ of others forgotten is told whose it is not', async (what) => {
  const as = attacker.key
  const { body: link } = await regions.ask('us', { as, method: 'POST', path: '/v1/admin-links', body: {} })
  log.length = 0
  const path = `/v1/planted/forget/${what}/${link.id}`
  expect((await regions.ask('us', { as, method: 'POST', path })).status).toBe(500)
  const said = `the service planted can't have ‘${what}’ forgotten: that is not its own`
  expect(log.filter((line) => line.includes(said))).toHaveLength(1)
})

test('and every attempt was counted, as an increase that Prometheus sees', async () => {
  const counted = async () => {
    const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
    return /^coditect_isolation_violations_total\{region="us"\} (\d+)$/m.exec(text)?.[1]
  }
  expect([await counted(), await counted()]).toEqual(['0', String(Object.keys(ATTEMPTS).length)])
})

test('and the refused attempts left no trace of a commit', async () => {
  const { body } = await regions.ask('us', { as: attacker.key, path: '/v1/audit?limit=100' })
  expect(body.data.filter(({ action }: { action: string }) => action === 'planted.attempt')).toEqual([])
})
