// What a form of the console changes: what somebody typed into it and nothing else, once, and nothing that somebody else
// has changed meanwhile.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { accessible, newPerson, startBrowser, type Watched } from './browser.ts'

let stack: Stack
let browser: Browser
let models: ModelServer
let person: Watched
let project: string
beforeAll(async () => {
  ;[stack, browser, models] = await Promise.all([startStack(), startBrowser(), startModelServer()])
  person = await newPerson(browser, stack.edge)
  const { page } = person
  await page.goto(await newLink())
  await click(page, 'Sign in')
  await page.waitForURL(/\/admin\/demo\/$/)
  project = (await send<{ id: string }>('POST', '/v1/projects', { name: 'Kept' })).id
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
  await models?.close()
})

const newLink = async () => (await send<{ url: string }>('POST', '/v1/admin-links', { role: 'owner' })).url

/** As a client of the API, not by the console. */
async function send<T>(method: string, path: string, body?: object): Promise<T> {
  const answer = await stack.call<T>(path, { method, ...(body && { body }) })
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.text}`)
  return answer.body
}

const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
const flash = (page: Page) => page.locator('.flash').innerText()
const alert = (page: Page) => page.getByRole('alert').innerText()

test('a record that is saved keeps its expiry until somebody changes that', async () => {
  const { page, complaints } = person
  const records = `/v1/projects/${project}/collections/people/records`
  const expiresAt = '2091-02-03T04:05:06.789Z'
  const { id } = await send<{ id: string }>('POST', records, { data: { city: 'Paris' }, expiresAt })
  const stored = () => send('GET', `${records}/${id}`)
  await page.goto(`/admin/demo/projects/${project}/collections/people/${id}`)
  await page.getByLabel('Document (JSON)').fill('{"city": "Lima"}')
  await click(page, 'Save')
  expect(await flash(page)).toContain('was saved')
  expect(await stored()).toMatchObject({ data: { city: 'Lima' }, expiresAt })

  await page.getByLabel('Expires').fill('tomorrow')
  await click(page, 'Save')
  expect(await page.getByLabel('Expires').getAttribute('aria-invalid')).toBe('true')
  expect(await page.getByLabel('Document (JSON)').getAttribute('aria-invalid')).toBeNull()
  await page.getByLabel('Expires').fill('2092-01-01T00:00:00Z')
  await send('PUT', `${records}/${id}`, { data: { city: 'Rome' }, expiresAt: '2093-01-01T00:00:00Z' })
  await click(page, 'Save')
  expect(await alert(page)).toMatch(/changed it meanwhile.*"Rome".*Expires\s+2093-01-01T00:00:00\.000Z/s)
  await click(page, 'Save')
  expect(await stored()).toMatchObject({ data: { city: 'Lima' }, expiresAt: '2092-01-01T00:00:00.000Z' })

  await page.getByLabel('Expires').fill('')
  await click(page, 'Save')
  expect(await stored()).not.toHaveProperty('expiresAt')

  // What is no number in a program is none in a record.
  await page.getByLabel('Document (JSON)').fill('{"city": "Lima", "price": 1e999}')
  await click(page, 'Save')
  expect(await page.locator('#error-data').innerText()).toMatch(/^\/price: is beyond the range of numbers/)
  expect(await page.getByLabel('Document (JSON)').inputValue()).toContain('1e999')
  expect(await stored()).toMatchObject({ data: { city: 'Lima' } })
  expect(complaints).toEqual([])
})

interface Said {
  action: string
  fields: Record<string, string>
}

/** What the form with this end of its action says, as it is shown. */
async function formAt(page: Page, path: string, end: string): Promise<Said> {
  await page.goto(path)
  return page.evaluate<Said>(`(() => {
    const form = document.querySelector('form[action$="${end}"]')
    return { action: form.action, fields: Object.fromEntries(new FormData(form)) }
  })()`)
}

const post = (page: Page, action: string, multipart: Record<string, string>) =>
  page.request.post(action, { multipart, maxRedirects: 0, headers: { 'sec-fetch-site': 'same-origin' } })

test('a form sent twice changes what it changes once, and is answered the same', async () => {
  const { page } = person
  const made = async (path: string, body: object) => (await send<{ id: string }>('POST', path, body)).id
  const kept = `/v1/projects/${project}`
  const record = await made(`${kept}/collections/people/records`, { data: { city: 'Paris' } })
  const [agent, url] = [await made(`${kept}/agents`, { name: 'Twice' }), 'https://example.com/twice']
  const [going, endpoint] = [
    await made('/v1/projects', { name: 'Going' }),
    await made('/v1/webhook-endpoints', { url }),
  ]
  const link = await made('/v1/admin-links', { role: 'viewer' })
  const email = 'twice@example.com'
  const invitation = await made('/v1/invitations', { email, role: 'viewer' })
  const other = await newPerson(browser, stack.edge)
  await other.page.goto(await newLink())
  await click(other.page, 'Sign in')
  await other.page.waitForURL(/\/admin\/demo\/$/)
  const sessions = await send<{ data: Array<{ id: string }> }>('GET', '/v1/sessions')
  const session = sessions.data.at(-1)?.id
  const projects = `projects/${project}`
  const forms: ReadonlyArray<[page: string, end: string, changed?: Record<string, string>]> = [
    [projects, `/${projects}`, { description: 'Changed' }],
    [`${projects}/collections/people/${record}`, record, { data: '{"city":"Lima"}' }],
    [`${projects}/collections/people/${record}/delete`, '/delete'],
    [`projects/${going}/delete`, '/delete'],
    [`agents/${project}/${agent}`, agent, { name: 'Changed' }],
    [`agents/${project}/${agent}/delete`, '/delete'],
    [`webhook-endpoints/${endpoint}`, endpoint, { description: 'Changed' }],
    [`webhook-endpoints/${endpoint}`, '/disable'],
    [`webhook-endpoints/${endpoint}/delete`, '/delete'],
    ['settings', '/settings', { displayName: 'Changed' }],
    ['links', `${link}/revoke`],
    ['invitations', `${invitation}/revoke`],
    ['sessions', `${session}/end`],
  ]
  for (const [path, end, changed = {}] of forms) {
    const { action, fields } = await formAt(page, `/admin/demo/${path}`, end)
    const answers = []
    for (let i = 0; i < 2; i++) {
      const answer = await post(page, action, { ...fields, ...changed })
      answers.push([path, answer.status(), answer.headers().location])
    }
    expect(answers[0]).toEqual([path, 303, expect.stringContaining('done=')])
    expect(answers[1]).toEqual(answers[0])
  }
  const { action, fields } = await formAt(page, `/admin/demo/${projects}`, `/${projects}`)
  const say = (description: string) => post(page, action, { ...fields, description })
  expect((await say('Said once')).status()).toBe(303)
  expect(await (await say('Said otherwise')).text()).toContain('This form was sent before')
  // Also where its answer is too large to be kept, until it says something else.
  const large = await formAt(page, `/admin/demo/${projects}/collections/large/new`, '/new')
  const keep = (fields: Record<string, string>, text: string) =>
    post(page, large.action, { ...fields, data: `{"text": "${text.repeat(20_000)}"}` })
  expect((await keep(large.fields, 'a')).status()).toBe(303)
  let { fields: again } = large
  for (const [text, status, isNew] of [
    ['a', 409, false],
    ['a', 409, false],
    ['b', 422, true],
    ['b', 303, false],
  ] as const) {
    const answer = await keep(again, text)
    const once = /name="once" value="([^"]+)"/.exec(await answer.text())?.[1] ?? again.once ?? ''
    expect([text, answer.status(), once !== again.once]).toEqual([text, status, isNew])
    again = { ...again, once }
  }
  const records = await send<{ data: unknown[] }>('GET', `/v1/${projects}/collections/large/records`)
  expect(records.data).toHaveLength(2)
  const { data } = await send<{ data: Array<{ target: string | null }> }>(
    'GET',
    '/v1/audit?action=projects.update',
  )
  expect(data.filter(({ target }) => target === project)).toHaveLength(2)
  await other.context.close()
})

test('an agent that is saved keeps all that nobody touched', async () => {
  const { page } = person
  const offered = '/platform/v1/models'
  await send('POST', offered, { name: 'withdrawn', baseUrl: models.baseUrl })
  const agents = `/v1/projects/${project}/agents`
  const given = {
    ...{ name: 'Before', model: 'withdrawn', instructions: '\n  One.\n\tTwo.\n' },
    parameters: { temperature: 0.1, topP: 0.25, maxOutputTokens: 7 },
  }
  const { id } = await send<{ id: string }>('POST', agents, given)
  await send('DELETE', `${offered}/withdrawn`)
  const names = async () => (await send<{ data: unknown[] }>('GET', '/v1/models')).data
  await expect.poll(names).toEqual([])
  await page.goto(`/admin/demo/agents/${project}/${id}`)
  await page.getByLabel('Name', { exact: true }).fill('After')
  await page.getByLabel('Temperature').fill('hot')
  await click(page, 'Save')
  expect(await page.getByLabel('Temperature').getAttribute('aria-invalid')).toBe('true')
  await page.getByLabel('Temperature').fill('0.1')
  await click(page, 'Save')
  expect(await flash(page)).toContain('was changed')
  expect(await send('GET', `${agents}/${id}`)).toMatchObject({ ...given, name: 'After' })
})

test('a project that is saved keeps all that nobody touched', async () => {
  const { page } = person
  const kept = { name: 'Before', description: ' Of several\n\nlines.\n' }
  const { id } = await send<{ id: string }>('POST', '/v1/projects', kept)
  await page.goto(`/admin/demo/projects/${id}`)
  await page.getByLabel('Name', { exact: true }).fill('After')
  await click(page, 'Save')
  expect(await flash(page)).toContain('was changed')
  expect(await send('GET', `/v1/projects/${id}`)).toMatchObject({ ...kept, name: 'After' })
})

test('a form does not overwrite what somebody else changed unseen, and loses nothing that was typed', async () => {
  const { page } = person
  const made = async (path: string, body: object) => (await send<{ id: string }>('POST', path, body)).id
  const agents = `/v1/projects/${project}/agents`
  const agent = await made(agents, { name: 'Mine' })
  const endpoint = await made('/v1/webhook-endpoints', { url: 'https://example.com/mine' })
  const source = await made('/v1/webhook-sources', {
    name: 'Mine',
    provider: 'github',
    secret: 'long-enough',
  })
  const forms: ReadonlyArray<
    [page: string, path: string, theirs: object, wrong: string, right: string, label: string]
  > = [
    [`projects/${project}`, `/v1/projects/${project}`, { description: 'Theirs' }, 'a\u0085b', 'Mine', 'Name'],
    ['settings', '/v1/tenant', { name: 'Theirs' }, 'red', '#00ff00', 'Accent colour'],
    [`agents/${project}/${agent}`, `${agents}/${agent}`, { name: 'Theirs' }, 'hot', '1', 'Temperature'],
    [
      `webhook-endpoints/${endpoint}`,
      `/v1/webhook-endpoints/${endpoint}`,
      { description: 'Theirs' },
      'none',
      '',
      'Types of events',
    ],
    [
      `webhook-sources/${source}`,
      `/v1/webhook-sources/${source}`,
      { name: 'Theirs' },
      'a\u0085b',
      'long-enough',
      'Secret',
    ],
  ]
  for (const [shown, path, theirs, wrong, right, label] of forms) {
    await page.goto(`/admin/demo/${shown}`)
    const field = page.getByLabel(label, { exact: true })
    await field.fill(wrong)
    await send('PATCH', path, theirs)
    await click(page, 'Save')
    expect([shown, await field.getAttribute('aria-invalid')]).toEqual([shown, 'true'])
    await field.fill(right)
    await click(page, 'Save')
    expect([shown, await alert(page)]).toEqual([
      shown,
      expect.stringMatching(/Somebody changed it meanwhile.*Theirs/s),
    ])
    expect(await page.title()).toMatch(/^Nothing was done · /)
    expect(await page.locator(':focus').getAttribute('role')).toBe('alert')
    expect(await send('GET', path)).toMatchObject(theirs)
    // Seen, it is overwritten; and a secret is not kept.
    if (label === 'Secret') {
      expect(await page.locator('#error-secret').innerText()).toContain('Type it again')
      await field.fill(right)
    }
    expect([shown, await field.inputValue()]).toEqual([shown, right])
    await click(page, 'Save')
    expect([shown, await flash(page)]).toEqual([shown, expect.stringMatching(/changed|saved/)])
    expect(await send('GET', path)).not.toMatchObject(theirs)
  }
})

test('a form that is refused is shown again as it was typed, whatever for, and begins with why', async () => {
  const { page, complaints } = person
  const issuer = 'https://login.example.com'
  await send('POST', '/v1/identity-providers', { name: 'First', issuer })
  await send('POST', '/v1/members', { identity: { issuer, subject: 'ann' }, role: 'viewer' })
  await send('POST', '/v1/domains', { domain: 'one.example.com' })
  await send('PATCH', `/platform/v1/tenants/${stack.demo.tenantId}`, { limits: { domains: 1 } })
  const collection = `projects/${project}/collections/known`
  await send('PUT', `/v1/${collection}`, {
    indexes: [{ fields: [{ field: 'city', type: 'string' }], unique: true }],
  })
  await send('POST', `/v1/${collection}/records`, { data: { city: 'Paris' } })
  const forms: ReadonlyArray<
    [path: string, button: string, status: number, why: RegExp, typed: Record<string, string>]
  > = [
    [
      'identity-providers',
      'Add',
      409,
      /issuer has an identity provider here already/,
      {
        ...{ Name: 'Second', Issuer: issuer, 'Claim with roles': 'groups', Roles: 'staff = member' },
        'Client for the console': 'console',
      },
    ],
    ['members', 'Add', 409, /is another member’s/, { Issuer: issuer, Subject: 'ann' }],
    ['domains', 'Claim it', 403, /allows 1 domains/, { Domain: 'two.example.com' }],
    [`${collection}/new`, 'Save', 409, /city/, { 'Document (JSON)': '{"city":  "Paris"}' }],
  ]
  for (const [path, button, status, why, typed] of forms) {
    await page.goto(`/admin/demo/${path}`)
    for (const [label, text] of Object.entries(typed)) {
      await page.getByLabel(label, { exact: true }).fill(text)
    }
    if (path === 'identity-providers') await page.getByLabel('Secret of that client').fill('not-to-be-seen')
    const answered = page.waitForResponse((response) => response.request().method() === 'POST')
    await click(page, button)
    expect([path, (await answered).status()]).toEqual([path, status])
    const said = page.locator('main').locator('[role=alert], .error').first()
    expect([path, await said.innerText()]).toEqual([path, expect.stringMatching(why)])
    expect(await page.locator('[role=alert]:focus, [aria-invalid]:focus').count()).toBe(1)
    expect(await page.title()).toMatch(/^Nothing was done · /)
    for (const [label, text] of Object.entries(typed)) {
      expect([label, await page.getByLabel(label, { exact: true }).inputValue()]).toEqual([label, text])
    }
    await accessible(page, { themes: 1 })
    if (path === 'identity-providers') {
      expect(await page.content()).not.toContain('not-to-be-seen')
      expect(await page.locator('#error-clientSecret').innerText()).toContain('Type it again')
      await page.getByLabel('Whoever has a role').check()
      await page.getByLabel('Claim with roles').fill('')
      await click(page, button)
      expect(await page.locator('#error-roleClaim').innerText()).toContain('Nobody would become a member')
      expect(await page.title()).toMatch(/^Nothing was done · /)
      expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('Second')
    }
  }
  expect(complaints).toEqual([])
})

test('a member’s role that somebody else has changed meanwhile is shown beside the one that was chosen', async () => {
  const { page } = person
  const identity = { issuer: 'https://login.example.com', subject: 'ben' }
  const { id } = await send<{ id: string }>('POST', '/v1/members', { identity, role: 'viewer' })
  await page.goto(`/admin/demo/members/${id}`)
  await page.getByLabel('Role').selectOption('admin')
  await send('PATCH', `/v1/members/${id}`, { role: 'member' })
  await click(page, 'Save')
  expect(await alert(page)).toMatch(/changed it meanwhile.*Role\s+member/s)
  expect(await page.getByLabel('Role').inputValue()).toBe('admin')
  await click(page, 'Save')
  expect(await send('GET', `/v1/members/${id}`)).toMatchObject({ role: 'admin' })
})

test('a run that is refused without script keeps its message beside what is wrong with it', async () => {
  const { id } = await send<{ id: string }>('POST', `/v1/projects/${project}/agents`, { name: 'Mute' })
  const { page } = await newPerson(browser, stack.edge, { javaScriptEnabled: false })
  await page.goto(await newLink())
  await click(page, 'Sign in')
  await page.goto(`/admin/demo/agents/${project}/${id}`)
  await page.getByLabel('Message').fill('   ')
  await click(page, 'Run')
  expect(await page.title()).toMatch(/^Nothing was done · Mute/)
  expect(await page.locator(':focus').getAttribute('name')).toBe('input')
  expect(await page.locator('#error-input').count()).toBe(1)
  // The page's other form still changes the agent as it was shown there.
  await send('PATCH', `/v1/projects/${project}/agents/${id}`, { name: 'Theirs' })
  await page.getByLabel('Name', { exact: true }).fill('Mine')
  await click(page, 'Save')
  expect(await alert(page)).toMatch(/changed it meanwhile.*Name\s+Theirs/s)
  await page.context().close()
})

test('an agent’s model is chosen from all that there are, also where they fill more than a page', async () => {
  const { page } = person
  const names = Array.from({ length: 102 }, (_, i) => `model-${String(i).padStart(3, '0')}`)
  for (const name of names) await send('POST', '/platform/v1/models', { name, baseUrl: models.baseUrl })
  const choices = page.getByLabel('Model', { exact: true }).locator('option')
  await expect
    .poll(async () => {
      await page.goto(`/admin/demo/agents?project=${project}`)
      return choices.count()
    })
    .toBe(names.length + 1)
})
