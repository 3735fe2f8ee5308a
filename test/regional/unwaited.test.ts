// A promise that rejects with nobody waiting for it ends no process in which others' requests are.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { eventually } from '../support/eventually.ts'
import { type Regions, startRegions } from './support.ts'

interface Line {
  message: string
  [field: string]: unknown
}

const lines: Line[] = []
const processes = new Map<string, ChildProcess>()
let regions: Regions
let key: string
beforeAll(async () => {
  regions = await startRegions({}, async (environment) => {
    const child = fork(new URL('./unwaited_process.ts', import.meta.url), {
      env: { ...process.env, ...environment },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    processes.set(environment.REGION ?? '', child)
    const listening = new Promise<void>((resolve, reject) => {
      child.on('message', (line: Line) => {
        lines.push(line)
        if (line.message === 'listening') resolve()
      })
      child.once('exit', (code) => reject(new Error(`the region has ended: ${code}`)))
    })
    await listening
    return {
      async close() {
        if (child.exitCode !== null) return
        child.kill('SIGTERM')
        await once(child, 'exit')
      },
    }
  })
  key = (await regions.newTenant('acme', 'us')).key
})
afterAll(() => regions.close())

const post = (path: string, requestId = newId('req')) =>
  regions.ask('us', { as: key, method: 'POST', path, requestId })
const told = (text: string) =>
  eventually(() => {
    const line = lines.find(({ error }) => String(error).includes(text))
    if (line === undefined) throw new Error(`nothing in the log of: ${text}`)
    return line
  })

test('in a request it is logged with whose it was, and the request and all others are answered', async () => {
  const requestId = newId('req')
  const { status } = await post(`/v1/leaving/${newId('prj')}`, requestId)
  expect(status).toBe(404)
  expect(await told('Problem')).toMatchObject({
    message: 'a promise was rejected that nobody waited for',
    requestId,
    route: '/v1/leaving/{project}',
    tenant: expect.stringMatching(/^\d+$/),
  })
  expect((await regions.ask('us', { as: key, path: '/v1/projects' })).status).toBe(200)
})

test('in a step of a job it is logged with the job', async () => {
  expect((await post('/v1/leaving')).status).toBe(204)
  expect(await told('left by a step')).toMatchObject({
    kind: 'leaving.step',
    job: expect.stringMatching(/^job_/),
  })
  expect((await regions.ask('us', { as: key, path: '/v1/projects' })).status).toBe(200)
})

test('anywhere else it is logged and ends the process, for whoever supervises it to start it again', async () => {
  const child = processes.get('eu')
  if (child === undefined) throw new Error('there is an eu')
  const ended = once(child, 'exit')
  child.send('leave one alone')
  expect((await ended)[0]).toBe(1)
  expect(await told('left by the region itself')).toMatchObject({ level: 'error', region: 'eu' })
})
