// What a client sent, and people typed, is told in words.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
beforeAll(async () => {
  regions = await startRegions()
  key = (await regions.newTenant('plain', 'us')).key
})
afterAll(() => regions.close())

const NAMES = '"owner", "admin", "member", "viewer"'
const identity = { issuer: 'https://login.example', subject: 'ann' }
const agent = (parameters: object) => ({ name: 'A', parameters })

const WRONG: ReadonlyArray<[path: string, body: object, errors: Record<string, string>]> = [
  ['/v1/projects', {}, { '/name': 'is missing' }],
  [
    '/v1/projects',
    { name: 5, colour: 'red' },
    { '/name': 'is not a string', '/colour': 'is not known here' },
  ],
  ['/v1/projects', { name: '' }, { '/name': 'is empty' }],
  ['/v1/projects', { name: 'x'.repeat(201) }, { '/name': 'has more than 200 characters' }],
  ['/v1/members', { identity, role: 'king' }, { '/role': `is none of ${NAMES}` }],
  ['/v1/members', { identity, role: 'viewer', email: 'nobody' }, { '/email': 'is not an e-mail address' }],
  ['/v1/api-keys', { name: 'K', scopes: [] }, { '/scopes': 'is empty' }],
  ['/agents', agent({ temperature: 'hot' }), { '/parameters/temperature': 'is not a number' }],
  ['/agents', agent({ temperature: 3 }), { '/parameters/temperature': 'is more than 2' }],
  ['/agents', agent({ temperature: -1 }), { '/parameters/temperature': 'is less than 0' }],
  ['/agents', agent({ maxOutputTokens: 1.5 }), { '/parameters/maxOutputTokens': 'is not a whole number' }],
]

test.each(WRONG)(
  'what is wrong with a body is said in words, after where it is: %s %j',
  async (path, body, errors) => {
    const ask = (to: string, sent: object) =>
      regions.ask('us', { as: key, path: to, method: 'POST', body: sent })
    const project =
      path === '/agents' ? `/v1/projects/${(await ask('/v1/projects', { name: 'P' })).body.id}` : ''
    const answer = await ask(`${project}${path}`, body)
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed'])
    const said: ReadonlyArray<{ pointer: string; detail: string }> = answer.body.errors
    expect(Object.fromEntries(said.map(({ pointer, detail }) => [pointer, detail]))).toEqual(errors)
  },
)
