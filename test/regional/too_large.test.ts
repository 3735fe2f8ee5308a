import { afterAll, beforeAll, expect, test } from 'vitest'
import { FDBError } from '../../regional/storage/foundationdb.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
const lines: string[] = []
/** What the next commits fail with. */
let code: number | undefined

beforeAll(async () => {
  regions = await startRegions({
    writeLog: (line) => void lines.push(line),
    async open(options) {
      const engine = await openEngine(options)
      const createTransaction = () => {
        const tn = engine.native.createTransaction()
        const commit = tn.commit.bind(tn)
        tn.commit = () => (code === undefined ? commit() : Promise.reject(new FDBError('told to', code)))
        return tn
      }
      return { ...engine, native: Object.assign(Object.create(engine.native), { createTransaction }) }
    },
  })
  key = (await regions.newTenant('acme', 'us')).key
})
afterAll(() => regions.close())

test.each([
  [2101, 413, 'body_too_large'],
  [2102, 422, 'validation_failed'],
  [2103, 413, 'body_too_large'],
  [2000, 500, 'internal'],
])(
  'a change that the database refuses with %i is %i %s, and in the log',
  async (refusal, status, problem) => {
    lines.length = 0
    code = refusal
    try {
      const asked = { as: key, method: 'POST', path: '/v1/projects', body: { name: 'P' } }
      const answer = await regions.ask('us', asked)
      expect([answer.status, answer.body.code]).toEqual([status, problem])
    } finally {
      code = undefined
    }
    expect(lines.join('')).toContain('a request failed')
  },
)
