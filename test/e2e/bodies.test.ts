// Clients that send slowly, over real sockets to the real edge: what they hold of an isolate is bounded in bytes and in time.
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { type Stack, startStack } from './stack.ts'

let stack: Stack
beforeAll(async () => {
  stack = await startStack({ SIGNUP: 'open', SMTP_URL: 'smtp://127.0.0.1:1', MAIL_FROM: 'a@b.example' })
})
afterAll(() => stack.stop())

/** A request of which so much of the body is sent, and no more; what it is answered, as far as that has come. */
class Upload {
  answer = ''
  closed = false
  readonly socket: Socket

  constructor(head: ReadonlyArray<string>, announced: number, sent: number) {
    const { port, hostname, host } = new URL(stack.edge)
    const lines = [...head, `Host: ${host}`, `Content-Length: ${announced}`, '', ' '.repeat(sent)]
    this.socket = connect(Number(port), hostname, () => this.socket.write(lines.join('\r\n')))
    this.socket.setEncoding('latin1').on('data', (text: string) => {
      this.answer += text
    })
    // An edge that answers unasked hangs up while there is still something to send.
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
    })
    onTestFinished(() => void this.socket.destroy())
  }

  get status(): number | undefined {
    return this.answer === '' ? undefined : Number(this.answer.split(' ')[1])
  }
}

/** Of those that have an answer. One that was still sending may lose it to the reset that hangs up on it. */
const statusesOf = (uploads: ReadonlyArray<Upload>) =>
  uploads.flatMap(({ status, closed }) => (closed ? (status ?? 503) : (status ?? [])))

const newProject = (key: string) => [
  'POST /v1/projects HTTP/1.1',
  `Authorization: Bearer ${key}`,
  'Content-Type: application/json',
]

async function newTenant(slug: string): Promise<string> {
  const { apiKey } = await stack.client(stack.operatorToken).call('POST /platform/v1/tenants', {
    body: { slug, name: slug, region: 'us', plan: 'enterprise', owner: { email: `owner@${slug}.example` } },
  })
  return apiKey.key
}

/** With a megabyte of white space around it. */
const large = (key: string) =>
  fetch(`${stack.edge}/v1/projects`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: `${' '.repeat(2 ** 20)}{"name":"Large"}`,
  })

test('one tenant’s stalled uploads take no other’s room, and are forgotten when their clients hang up', async () => {
  const [slow, other] = [await newTenant('slow'), await newTenant('other')]
  for (let round = 0; round < 3; round++) {
    const uploads = Array.from(
      { length: 16 },
      () => new Upload(newProject(slow), MAX_BODY_BYTES, MAX_BODY_BYTES - 100_000),
    )
    const statuses = () => statusesOf(uploads)
    // Twelve of them are half of the room.
    await expect.poll(statuses).toEqual([503, 503, 503, 503])
    expect((await large(slow)).status).toBe(503)
    expect((await large(other)).status).toBe(201)
    for (const { socket } of uploads) socket.resetAndDestroy()
    await expect.poll(async () => (await large(slow)).status).toBe(201)
  }
})

test('a session’s forms take the room of its organisation', async () => {
  const entered = await fetch(stack.demo.adminUrl ?? '', { method: 'POST', redirect: 'manual' })
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? ''
  const head = [
    'POST /admin/demo/projects HTTP/1.1',
    `Cookie: ${cookie}`,
    `Origin: ${stack.edge}`,
    'Content-Type: application/x-www-form-urlencoded',
  ]
  const forms = Array.from({ length: 20 }, () => new Upload(head, 1_450_000, 1_000_000))
  // Seventeen of them are half of the room.
  const statuses = () => statusesOf(forms)
  await expect.poll(statuses).toEqual([503, 503, 503])
  expect((await large(stack.demo.apiKey)).status).toBe(503)
})

test('operators have room of their own, apart from that of visitors', async () => {
  const head = ['POST /platform/v1/tenants HTTP/1.1', `Authorization: Bearer ${stack.operatorToken}`]
  const uploads = Array.from({ length: 16 }, () => new Upload(head, MAX_BODY_BYTES, MAX_BODY_BYTES - 100_000))
  const statuses = () => statusesOf(uploads)
  await expect.poll(statuses).toEqual([503, 503, 503, 503])
  // What the edge asks of the region is twice as long as the form.
  const form = new FormData()
  form.set('name', '"'.repeat(3_500))
  const signUp = await fetch(`${stack.edge}/sign-up`, {
    method: 'POST',
    headers: { origin: stack.edge },
    body: form,
  })
  expect(signUp.status).toBe(422)
})

test('a stranger’s long form is refused or left unread at once, announced or not, and takes nobody’s room', async () => {
  const head = (path: string) => [
    `POST ${path} HTTP/1.1`,
    `Origin: ${stack.edge}`,
    'Content-Type: application/x-www-form-urlencoded',
  ]
  for (const path of ['/admin/demo/projects', '/platform/tenants', '/platform/sign-in', '/sign-up']) {
    const forms = Array.from({ length: 16 }, () => new Upload(head(path), MAX_BODY_BYTES, 1_000))
    // Of two lengths the runtime goes by the one that may be any.
    forms.push(new Upload([...head(path), 'Transfer-Encoding: chunked'], 10, 0))
    const statuses = () => new Set(forms.map(({ status }) => status))
    const answer = path.endsWith('sign-in') || path === '/sign-up' ? 413 : 401
    await expect.poll(statuses, { timeout: 5_000 }).toEqual(new Set([answer]))
  }
})

test('a body that stops on its way is given up after ten seconds', async () => {
  const upload = new Upload(newProject(stack.demo.apiKey), 100, 10)
  const begun = performance.now()
  await expect.poll(() => upload.status, { timeout: 30_000 }).toBe(408)
  expect(performance.now() - begun).toBeGreaterThan(9_000)
  expect(upload.answer).toContain('"code":"body_too_slow"')
  // What still comes would be taken for another request.
  await expect.poll(() => upload.closed, { timeout: 10_000 }).toBe(true)
})
