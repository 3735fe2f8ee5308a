// What a service's author gets wrong in declaring it keeps a region from starting, with words that say what it is.
import { expect, test } from 'vitest'
import { z } from 'zod'
import { jobKind } from '../../regional/jobs/kind.ts'
import { openApiDocument } from '../../regional/openapi.ts'
import { type ServiceOptions, services } from '../../regional/services/index.ts'
import { operationFinder } from '../../regional/tenancy/find_operation.ts'
import {
  outsideOperation,
  type Service,
  type TenantOperation,
  tenantOperation,
} from '../../regional/tenancy/service.ts'

const nothing = (): never => {
  throw new Error('nothing is asked for here')
}
/** What the platform's own services work with; here they are only looked at. */
const parts: unknown = new Proxy(Object.assign(nothing, {}), { get: () => parts })
const withService = (extra: Partial<Service>) =>
  services(parts as ServiceOptions, [{ name: 'notes', operations: [], ...extra }])

type Declared = Partial<Parameters<typeof tenantOperation>[0]>
const operation = (declared: Declared): TenantOperation =>
  tenantOperation({
    name: 'read',
    method: 'get',
    path: '/v1/notes/{id}',
    tag: 'Notes',
    summary: 'Read',
    scope: 'projects:read',
    answers: { 200: z.unknown() },
    handle: async () => ({ status: 200 }),
    ...declared,
  })
const working = (service: string) =>
  jobKind<null>({
    kind: 'notes.work',
    service,
    retry: { firstMs: 1, maxMs: 1, tries: 1 },
    step: async () => ({ finished: true }),
  })

test.each<[string, Partial<Service>, RegExp]>([
  ['has the name of another one', { name: 'projects' }, /two services are called projects/],
  ['has a name that is none', { name: 'helpDesk2' }, /not a service's name.*helpDesk2/],
  [
    'has two operations of one name',
    { operations: [operation({}), operation({ path: '/v1/notes' })] },
    /two operations are called notes\.read/,
  ],
  [
    'has the method and path of another operation',
    { operations: [operation({ path: '/v1/projects/{project}' })] },
    /GET \/v1\/projects\/\{project\} \(notes\.read\) is never served: its path leads to projects\.read/,
  ],
  [
    'has a fixed path behind one that takes it',
    { operations: [operation({}), operation({ name: 'stats', path: '/v1/notes/stats' })] },
    /GET \/v1\/notes\/stats \(notes\.stats\) is never served: its path leads to notes\.read/,
  ],
  [
    'changes something by a scope for reading',
    { operations: [operation({ method: 'post' })] },
    /needs a scope for writing: not projects:read/,
  ],
  [
    'answers outside what it does not declare',
    {
      operations: [
        outsideOperation({
          name: 'run',
          method: 'post',
          path: '/v1/notes',
          tag: 'Notes',
          summary: 'Run',
          scope: 'projects:write',
          status: 200,
          answers: { 201: z.unknown() },
          maxMs: 1,
          begin: nothing,
          work: nothing,
          settle: nothing,
        }),
      ],
    },
    /answers 200, and does not declare it/,
  ],
  [
    'has a job work nowhere',
    { jobKinds: [working('note')] },
    /notes\.work is of the service notes.*in note$/,
  ],
  ['has a job work in another service', { jobKinds: [working('api-keys')] }, /is to work in api-keys/],
])('a region does not start with a service that %s', (_, extra, says) => {
  expect(() => withService(extra)).toThrow(says)
})

test('what is declared as it should be is taken', () => {
  const stats = operation({ name: 'stats', path: '/v1/notes/stats' })
  const all = withService({ operations: [stats, operation({})], jobKinds: [working('notes')] })
  expect(all.map(({ name }) => name)).toContain('notes')
})

test('a fixed path beside a parameter is found, and so are all others', () => {
  const stats = operation({ name: 'stats', path: '/v1/notes/stats' })
  const find = operationFinder(withService({ operations: [stats, operation({})] }))
  expect(find('GET', '/v1/notes/stats')?.operation).toBe(stats)
  expect(find('GET', '/v1/notes/7')?.operation.name).toBe('read')
  expect(find('POST', '/v1/projects')?.operation.name).toBe('create')
})

const described = (services: ReadonlyArray<Service>) =>
  openApiDocument(
    services.flatMap(({ operations }) =>
      operations.map(({ declaration, scope }) => ({
        declaration,
        security: 'apiKey' as const,
        needs: scope,
        signable: true,
      })),
    ),
  )

test.each(['Project', 'Problem'])(
  'nor with a second schema of the id %s, wherever in another one it stands',
  (id) => {
    const another = z.object({ note: z.string() }).meta({ id })
    const answers = { 200: z.object({ data: z.array(another.optional()) }) }
    expect(() => described(withService({ operations: [operation({ answers })] }))).toThrow(
      `two schemas have the id ${id}`,
    )
  },
)
