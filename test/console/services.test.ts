// What an admin does in the console with projects, agents, webhooks and domains, in a real browser; the agent's model is
// a server that streams for real.
import { createHmac } from 'node:crypto'
import type { Browser, Page } from 'playwright-core'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { accessible, newPerson, startBrowser, type Watched } from './browser.ts'

let stack: Stack
let browser: Browser
let models: ModelServer
let receiver: WebhookReceiver
let person: Watched
beforeAll(async () => {
  ;[stack, browser, models, receiver] = await Promise.all([
    startStack({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' }),
    startBrowser(),
    startModelServer(),
    startReceiver(),
  ])
  const model = { name: 'small', baseUrl: models.baseUrl }
  expect((await stack.call('/platform/v1/models', { method: 'POST', body: model })).status).toBe(201)
  person = await enter({ role: 'owner' })
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
  await models?.close()
  await receiver?.close()
})

async function enter(body: object, options: Parameters<typeof newPerson>[2] = {}): Promise<Watched> {
  const entering = await newPerson(browser, stack.edge, options)
  const link = await stack.call<{ url: string }>('/v1/admin-links', { method: 'POST', body })
  await entering.page.goto(link.body.url)
  await entering.page.getByRole('button', { name: 'Sign in' }).click()
  await entering.page.waitForURL(/\/admin\/demo\/$/)
  return entering
}

const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
const follow = (page: Page, name: string) => page.getByRole('link', { name, exact: true }).click()
const flash = (page: Page) => page.locator('.flash').innerText()
const main = (page: Page) => page.locator('main').innerText()

test('the whole of an admin’s first day: from the link to the key, the project, the retry and the audit log', async () => {
  receiver.answer('/first-day', 500)
  const owner = { email: 'ada@firstday.example' }
  const body = { slug: 'firstday', name: 'First Day', region: 'eu', plan: 'team', owner }
  const made = await stack.call<{ adminLink: { url: string } }>('/platform/v1/tenants', {
    method: 'POST',
    body,
  })
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  await page.goto(made.body.adminLink.url)
  expect(await main(page)).toMatch(/ada@firstday\.example.*First Day.*owner/s)
  await click(page, 'Sign in')
  await page.waitForURL(`${stack.edge}/admin/firstday/`)

  await follow(page, 'API keys')
  await page.getByLabel('Name').fill('Build server')
  await page.getByLabel('projects:write').check()
  await click(page, 'Create the key')
  const key = await page.locator('#secret').innerText()

  await follow(page, 'Webhooks out')
  await page.getByLabel('URL').fill(receiver.url('/first-day'))
  await page.getByLabel('Types of events').fill('project.*')
  await click(page, 'Create the endpoint')
  const secret = await page.locator('#secret').innerText()

  await follow(page, 'Projects')
  expect(await main(page)).toContain('No projects yet')
  await page.getByLabel('Name').fill('By hand')
  await click(page, 'Create the project')
  expect(await flash(page)).toContain('The project')
  const byKey = await stack.call<{ id: string }>('/v1/projects', {
    ...{ as: key, method: 'POST', body: { name: 'By key' } },
  })
  expect(byKey.status).toBe(201)
  await expect.poll(() => receiver.at('/first-day').length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2)

  receiver.answer('/first-day', 204)
  const before = receiver.at('/first-day').length
  await follow(page, 'Webhooks out')
  await page.locator('table').nth(1).getByRole('link').first().click()
  expect(await main(page)).toMatch(/project\.created[\s\S]*500/)
  await click(page, 'Send it again')
  await expect
    .poll(
      async () => {
        await page.reload()
        return page.locator('dl').first().innerText()
      },
      { timeout: 15_000 },
    )
    .toContain('delivered')
  const again = receiver.at('/first-day')[before]
  new Webhook(secret).verify(again?.text ?? '', again?.headers as Record<string, string>)

  await follow(page, 'Audit log')
  const actions = await page.locator('tbody td[data-title=Action]').allInnerTexts()
  // The key and the session that did it are found by what the log calls them.
  const [, keyId] = /api key (key_\w+)/.exec(await page.locator('tbody').innerText()) ?? []
  const [, session] = /session (ses_\w+)/.exec(await page.locator('tbody').innerText()) ?? []
  for (const [list, id] of [
    ['API keys', keyId],
    ['Sessions', session],
  ] as const) {
    await follow(page, list)
    expect(await page.locator('tbody').innerText()).toContain(id)
  }
  await follow(page, 'Audit log')
  for (const action of ['sessions.enter', 'api-keys.create', 'webhook-endpoints.create', 'projects.create']) {
    expect(actions).toContain(action)
  }
  await page.getByText('Filter', { exact: true }).click()
  await page.getByLabel('Target').fill(byKey.body.id)
  await click(page, 'Show')
  expect(await page.locator('tbody tr').count()).toBe(1)
  expect(await page.locator('tbody').innerText()).toMatch(/api key[\s\S]*projects\.create/)
  await click(page, 'Sign out')
  expect(await main(page)).toContain('signed out')
  expect(complaints).toEqual([])
  await context.close()
})

test('an agent is made, run while one watches, and run again without script', async () => {
  const { page, complaints } = person
  await page.goto('/admin/demo/projects')
  await page.getByLabel('Name', { exact: true }).fill('Answers')
  await click(page, 'Create the project')
  await page.goto('/admin/demo/agents')
  await follow(page, 'The models that there are')
  expect(await page.locator('tbody').innerText()).toMatch(/small[\s\S]*\$0[\s\S]*free, team[\s\S]*yes/)
  await page.goto('/admin/demo/agents')
  await page.getByLabel('Name', { exact: true }).fill('Helper')
  await page.getByLabel('Model').selectOption('small')
  for (const none of ['hot', '1e999']) {
    await page.getByLabel('Temperature').fill(none)
    await click(page, 'Create the agent')
    expect(await page.getByLabel('Temperature').getAttribute('aria-invalid')).toBe('true')
  }
  expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('Helper')
  await page.getByLabel('Temperature').fill('0.5')
  await click(page, 'Create the agent')
  expect(await flash(page)).toContain('The agent is there')

  await page.getByLabel('Message').fill('Please wait for it')
  await click(page, 'Run')
  // The first word comes while the rest is not said yet.
  await expect.poll(() => page.locator('#answer').innerText(), { timeout: 8_000 }).toBe('Wait')
  expect(models.underWay()).toBe(1)
  expect(await main(page)).not.toContain('No runs yet')
  // Leaving would end the run: nothing leads away unasked while it goes on.
  const run = page.getByRole('link', { name: 'Open this run' })
  expect(await run.isVisible()).toBe(false)
  const asked: string[] = []
  page.once('dialog', async (question) => {
    asked.push(question.type())
    await question.dismiss()
  })
  await follow(page, 'Projects')
  expect(asked).toEqual(['beforeunload'])
  models.release()
  await expect.poll(() => page.locator('#answer').innerText(), { timeout: 8_000 }).toBe('WaitHello, world.')
  await run.waitFor()
  expect(await run.getAttribute('href')).toMatch(/\/runs\/run_\w+$/)
  await page.getByLabel('Message').fill('Please wait and be stopped')
  await click(page, 'Run')
  await expect.poll(() => page.locator('#answer').innerText(), { timeout: 8_000 }).toBe('Wait')
  await click(page, 'Stop')
  await expect.poll(() => page.locator('#answer').innerText(), { timeout: 8_000 }).toContain('[Stopped.]')
  await expect.poll(() => models.underWay(), { timeout: 8_000 }).toBe(0)
  await page.getByLabel('Message').fill('failing')
  await click(page, 'Run')
  await expect.poll(() => page.locator('#answer').innerText(), { timeout: 8_000 }).toMatch(/^ ?\[.+\]$/)
  await page.getByLabel('Message').fill('Please wait and be stopped by another')
  await click(page, 'Run')
  await expect.poll(() => page.locator('#answer').innerText(), { timeout: 8_000 }).toBe('Wait')
  const other = await person.context.newPage()
  await other.goto(page.url())
  await other.locator('tbody a').first().click()
  expect(await main(other)).toContain('(nothing yet)')
  await click(other, 'Stop it')
  await other.close()
  await expect
    .poll(() => page.locator('#answer').innerText(), { timeout: 8_000 })
    .toContain('[Stopped from elsewhere, or your session has ended.]')

  // No browser sends a message of nothing; one of white space is refused with what is wrong about it.
  const answer = page.locator('#answer')
  await answer.evaluate((each) => each.replaceChildren())
  await page.getByLabel('Message').fill('')
  await click(page, 'Run')
  expect(await page.locator('textarea[name=input]:invalid').count()).toBe(1)
  expect(await answer.innerText()).toBe('')
  await page.getByLabel('Message').fill(' ')
  await click(page, 'Run')
  await expect.poll(() => answer.innerText()).toMatch(/^ ?\[input is empty\]/)

  const agent = page.url().split('?')[0] ?? ''
  expect(await main(page)).toContain(agent.split('/').at(-1))
  await page.goto(agent)
  expect(await page.locator('tbody tr').count()).toBe(4)
  expect(await page.locator('tbody').innerText()).toContain('cancelled')
  await page.locator('tbody tr').filter({ hasText: 'failed' }).getByRole('link').click()
  expect(await main(page)).toMatch(/\(nothing\)/)
  await page.goto(agent)
  await page.locator('tbody a').last().click()
  expect(await main(page)).toContain('WaitHello, world.')
  expect(complaints.filter((complaint) => !complaint.includes('status of 5'))).toEqual([])

  const plain = await enter({ role: 'member' }, { javaScriptEnabled: false })
  await plain.page.goto(agent)
  await plain.page.getByLabel('Message').fill('Hello')
  await click(plain.page, 'Run')
  expect(plain.page.url()).toMatch(/\/runs\/run_\w+$/)
  expect(await main(plain.page)).toContain('Hello, world.')
  await plain.context.close()
})

test('a source of webhooks says how to set it up, and shows what came and what was refused', async () => {
  const { page } = person
  await page.goto('/admin/demo/webhook-sources')
  await page.getByLabel('Name', { exact: true }).fill('Code')
  await page.getByLabel('Provider').selectOption('github')
  await page.getByLabel('Secret').fill('x'.repeat(513))
  await click(page, 'Create the source')
  expect(await page.getByLabel('Secret').getAttribute('aria-invalid')).toBe('true')
  await page.getByLabel('Secret').fill('a-longer-secret')
  await page.getByLabel('Your own names').fill('push = code.pushed\n* = code.other')
  await click(page, 'Create the source')
  const url = await page.locator('#secret').innerText()
  expect(await main(page)).toContain('content type application/json')
  const body = JSON.stringify({ text: '<script>alert(1)</script>' })
  const send = (signature: string) =>
    fetch(url, {
      method: 'POST',
      body,
      headers: {
        'x-hub-signature-256': `sha256=${signature}`,
        'x-github-delivery': 'd-1',
        'x-github-event': 'push',
      },
    })
  expect((await send(createHmac('sha256', 'a-longer-secret').update(body).digest('hex'))).status).toBe(200)
  expect((await send('00'.repeat(32))).status).toBe(401)
  await follow(page, 'To the source')
  // It is counted within seconds.
  const refusals = async () => {
    await page.reload()
    return main(page)
  }
  await expect.poll(refusals, { timeout: 20_000, interval: 500 }).toContain('1 were refused')
  expect(await page.locator('tbody').innerText()).toContain('code.pushed')
  await page.locator('tbody a').first().click()
  expect(await page.locator('pre').innerText()).toBe(body)
  await follow(page, 'Back to the source')
  await page.getByLabel('Name', { exact: true }).fill('Repository')
  await page.getByLabel('Secret').fill('another secret')
  await click(page, 'Save')
  expect(await flash(page)).toContain('was changed')
  expect(await main(page)).toContain('what the one of before signs is taken until')
  await follow(page, 'Delete this source')
  await click(page, 'Delete')
  expect(await flash(page)).toContain('The source is gone')
  expect(await (await send('00')).text()).toContain('credential_invalid')
})

test('an endpoint of webhooks is made, tried, mended by a retry, rotated and deleted', async () => {
  const { page } = person
  receiver.answer('/hook', (_, response) => response.writeHead(500).end('<script>alert(1)</script>'))
  await page.goto('/admin/demo/webhook-endpoints')
  await page.getByLabel('URL').fill(receiver.url('/hook'))
  await page.getByLabel('Types of events').fill('nothing.such')
  await click(page, 'Create the endpoint')
  expect(await page.getByLabel('Types of events').getAttribute('aria-invalid')).toBe('true')
  await page.getByLabel('Types of events').fill('project.*')
  await page.getByLabel('Deliveries a second').fill('1e999')
  await click(page, 'Create the endpoint')
  expect(await page.getByLabel('Deliveries a second').getAttribute('aria-invalid')).toBe('true')
  await page.getByLabel('Deliveries a second').fill('')
  await stack.call('/v1/projects', { method: 'POST', body: { name: 'Before there was the endpoint' } })
  await click(page, 'Create the endpoint')
  const secret = await page.locator('#secret').innerText()
  await follow(page, 'To the endpoint')
  const endpoint = page.url()
  await stack.call('/v1/projects', { method: 'POST', body: { name: 'Told of' } })
  await expect.poll(() => receiver.at('/hook').length, { timeout: 10_000 }).toBe(1)
  const [first] = receiver.at('/hook')
  new Webhook(secret).verify(first?.text ?? '', first?.headers as Record<string, string>)

  await expect
    .poll(
      async () => {
        await page.goto(endpoint)
        return main(page)
      },
      { timeout: 10_000 },
    )
    .toContain('failing')
  const recovery = page.locator('form[action$="/recover"]')
  const hidden = (name: string) => recovery.locator(`input[name=${name}]`).inputValue()
  const form = {
    csrf: await hidden('csrf'),
    once: await hidden('once'),
    shown: await hidden('shown'),
    days: '1',
  }
  await page.getByLabel('Send again what it missed in').selectOption('1')
  await click(page, 'Recover')
  // The same form, sent again, is the same request.
  const again = await page.request.post(`${endpoint}/recover`, {
    ...{ form, headers: { 'sec-fetch-site': 'same-origin' }, maxRedirects: 0 },
  })
  expect(again.status()).toBe(303)
  expect(await flash(page)).toContain('is being sent again')
  await page.locator('table').first().getByRole('link').first().click()
  expect(await main(page)).toMatch(/500[\s\S]*<script>alert\(1\)<\/script>/)
  receiver.answer('/hook', 204)
  await click(page, 'Send it again')
  await expect
    .poll(
      async () => {
        await page.reload()
        return main(page)
      },
      { timeout: 10_000 },
    )
    .toContain('delivered')
  expect(new Set(receiver.at('/hook').map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  await follow(page, 'To the endpoint')
  await click(page, 'Send a test')
  await expect
    .poll(() => receiver.at('/hook').at(-1)?.body.type, { timeout: 10_000 })
    .toBe('webhook_endpoint.test')
  await follow(page, 'To the endpoint')
  await click(page, 'Disable')
  expect(await flash(page)).toContain('are held')
  // What is held comes by itself: it is not to be asked for.
  for (let i = 0; i < 6; i++)
    await stack.call('/v1/projects', { method: 'POST', body: { name: `Held ${i}` } })
  await page.reload()
  expect(await main(page)).toMatch(/Missed[\s\S]*there may be more/)
  expect(await page.getByRole('button', { name: 'Recover' }).count()).toBe(0)
  await page.locator('table').first().getByRole('link').last().click()
  await click(page, 'Send it again')
  expect(await main(page)).toContain('Enable the endpoint first')
  await page.goto(endpoint)
  await click(page, 'Enable')
  await follow(page, 'Rotate the secret')
  await click(page, 'Rotate')
  expect(await page.locator('#secret').innerText()).not.toBe(secret)
  await follow(page, 'To the endpoint')
  // Its headers, which nobody is shown, go nowhere else by themselves.
  expect(await page.getByLabel('Send none of them').count()).toBe(0)
  const api = `/v1/webhook-endpoints/${endpoint.split('/').at(-1)}`
  await stack.call(api, { method: 'PATCH', body: { headers: { 'X-Own': 'hush-hush' } } })
  await page.reload()
  await page.getByLabel('URL').fill('https://hooks.example.com/')
  await click(page, 'Save')
  expect(await main(page)).toMatch(/Headers: X-Own[\s\S]*is to be given again/)
  await page.getByLabel('Send none of them').check()
  await click(page, 'Save')
  expect(await flash(page)).toContain('was changed')
  expect(await main(page)).not.toContain('X-Own')
  await follow(page, 'Delete this endpoint')
  await click(page, 'Delete')
  expect(await flash(page)).toContain('is gone')
  await page.goto('/admin/demo/audit')
  expect(await main(page)).toMatch(/webhook-endpoints\.delete[\s\S]*webhook-endpoints\.recover/)
})

test('what an endpoint has missed just now is found, however much has happened that day', async () => {
  const { page } = person
  receiver.answer('/late', 204)
  const endpoint = await stack.call<{ id: string }>('/v1/webhook-endpoints', {
    ...{ method: 'POST', body: { url: receiver.url('/late'), types: ['project.*'] } },
  })
  const project = await stack.call<{ id: string }>('/v1/projects', { method: 'POST', body: { name: 'Busy' } })
  const operations = Array.from({ length: 100 }, () => ({ data: {} }))
  for (let i = 0; i < 6; i++) {
    const path = `/v1/projects/${project.body.id}/collections/busy/records:batch`
    expect((await stack.call(path, { method: 'POST', body: { operations } })).status).toBe(200)
  }
  await expect.poll(() => receiver.at('/late').length, { timeout: 10_000 }).toBe(1)
  const missed = async () => {
    await page.goto(`/admin/demo/webhook-endpoints/${endpoint.body.id}`)
    return page.locator('section[aria-labelledby=missed]').innerText()
  }
  await expect.poll(missed, { timeout: 10_000 }).toMatch(/Nothing in the last day[\s\S]*Recover/)
  receiver.answer('/late', 500)
  await stack.call('/v1/projects', { method: 'POST', body: { name: 'Late' } })
  await expect.poll(missed, { timeout: 10_000 }).toContain('project.created')
  expect(await missed()).not.toContain('there may be more')
  await stack.call(`/v1/webhook-endpoints/${endpoint.body.id}`, { method: 'DELETE' })
})

/** As from a second copy of the page, whose form was sent from the first one already. */
async function sendAgain(page: Page, once: string, button: string): Promise<void> {
  const field = page.locator('section input[name=once]')
  await field.evaluate((input, value) => input.setAttribute('value', value), once)
  await click(page, button)
}

test('a form that was sent before with something else in it says so, wherever it is', async () => {
  const { page } = person
  const forms: Array<[path: string, button: string, fill: (text: string) => Promise<void>]> = [
    [
      'domains',
      'Claim it',
      (text) => page.getByLabel('Domain', { exact: true }).fill(`${text}.demo.invalid`),
    ],
    [
      'webhook-sources',
      'Create the source',
      async (text) => {
        await page.getByLabel('Name', { exact: true }).fill(text)
        await page.getByLabel('Secret').fill('whsec_a-secret')
      },
    ],
    [
      'webhook-endpoints',
      'Create the endpoint',
      (text) => page.getByLabel('URL').fill(receiver.url(`/${text}`)),
    ],
  ]
  for (const [path, button, fill] of forms) {
    await page.goto(`/admin/demo/${path}`)
    const once = await page.locator('section input[name=once]').inputValue()
    await fill('first')
    await click(page, button)
    await page.goto(`/admin/demo/${path}`)
    await fill('second')
    await sendAgain(page, once, button)
    expect([path, await page.getByRole('alert').innerText()]).toEqual([
      path,
      expect.stringContaining('that was done; this was not'),
    ])
    // The form that is drawn with it is one of its own.
    await fill('second')
    await click(page, button)
    expect([path, await page.getByRole('alert').count()]).toEqual([path, 0])
  }
})

test('a domain says what its DNS has to say, and what was found there', async () => {
  const { page } = person
  await page.goto('/admin/demo/domains')
  await page.getByLabel('Domain', { exact: true }).fill('not a domain')
  await click(page, 'Claim it')
  expect(await page.getByLabel('Domain', { exact: true }).getAttribute('aria-invalid')).toBe('true')
  await page.getByLabel('Domain', { exact: true }).fill('api.demo.invalid')
  await click(page, 'Claim it')
  expect(await main(page)).toMatch(/TXT[\s\S]+api\.demo\.invalid/)
  await click(page, 'Check now')
  await page.locator('[role=status] time').waitFor()
  await follow(page, 'Remove this domain')
  await click(page, 'Remove')
  expect(await flash(page)).toContain('none of the organisation’s')
})

test('what was just made is on the page that says so, however many there are', async () => {
  for (const [path, body] of [
    ['projects', (i: number) => ({ name: `Earlier ${i}` })],
    [
      'members',
      (i: number) => ({ identity: { issuer: 'https://id.demo.invalid', subject: `m${i}` }, role: 'viewer' }),
    ],
  ] as const) {
    for (let i = 0; i < 26; i++) {
      expect((await stack.call(`/v1/${path}`, { method: 'POST', body: body(i) })).status).toBe(201)
    }
  }
  const { page, complaints, context } = await enter({ role: 'admin' })
  const heading = () => page.locator('h1').innerText()
  await page.goto('/admin/demo/projects')
  await page.getByLabel('Name', { exact: true }).fill('The last')
  await click(page, 'Create the project')
  expect([await heading(), await flash(page)]).toEqual(['The last', expect.stringContaining('is there')])
  await page.getByLabel('Name', { exact: true }).fill('The very last')
  await click(page, 'Save')
  expect([await heading(), await flash(page)]).toEqual(['The very last', expect.stringContaining('changed')])
  await click(page, 'Archive this project')
  await click(page, 'Restore this project')
  expect([await heading(), await flash(page)]).toEqual(['The very last', expect.stringContaining('again')])
  await follow(page, 'Delete this project')
  await follow(page, 'Cancel')
  expect(await heading()).toBe('The very last')

  await follow(page, 'Its agents')
  await page.getByLabel('Name', { exact: true }).fill('The last')
  await click(page, 'Create the agent')
  await follow(page, 'Delete this agent')
  await click(page, 'Delete')
  expect(await flash(page)).toContain('The agent is gone')
  expect(await main(page)).toContain('No agents in The very last')

  await page.goto('/admin/demo/members')
  await page.getByLabel('Issuer').fill('https://id.demo.invalid')
  await page.getByLabel('Subject').fill('the-last')
  await click(page, 'Add')
  expect([await heading(), await flash(page)]).toEqual(['the-last', expect.stringContaining('was added')])
  await page.locator('main').getByLabel('Role').selectOption('viewer')
  await click(page, 'Save')
  expect([await heading(), await flash(page)]).toEqual([
    'the-last',
    expect.stringContaining('role was changed'),
  ])

  await page.goto('/admin/demo/api-keys')
  await page.getByLabel('Name').fill('The last')
  await page.getByLabel('projects:read').check()
  await click(page, 'Create the key')
  expect(await page.locator('tbody').innerText()).toMatch(/The last key_[\s\S]*projects:read/)
  await follow(page, 'Rotate The last')
  await click(page, 'Rotate')
  await follow(page, 'Revoke The last')
  await click(page, 'Revoke')
  expect(await flash(page)).toContain('was revoked')

  await page.goto('/admin/demo/invitations')
  await page.getByLabel('E-mail address').fill('last@demo.example')
  await click(page, 'Invite')
  expect(await page.locator('tbody').innerText()).toMatch(/last@demo\.example[\s\S]*open/)
  await click(page, 'Revoke the invitation for last@demo.example')
  expect(await flash(page)).toContain('was revoked')

  await page.goto('/admin/demo/links')
  await page.getByLabel('For whom').fill('last@demo.example')
  await click(page, 'Create the link')
  await accessible(page)
  await click(page, 'Revoke the link for last@demo.example')
  expect(await flash(page)).toContain('was revoked')
  expect(complaints).toEqual([])
  await context.close()
})

test('a project is archived, with all that is in it, and restored', async () => {
  const { page } = person
  type Listed = { data: Array<{ id: string; name: string }> }
  const projects = await stack.call<Listed>('/v1/projects')
  const project = projects.body.data.find(({ name }) => name === 'Answers')?.id
  const agents = await stack.call<Listed>(`/v1/projects/${project}/agents`)
  const notes = `projects/${project}/collections/notes`
  const record = { method: 'POST', body: { data: { text: 'kept' } } } as const
  const { id } = (await stack.call<{ id: string }>(`/v1/${notes}/records`, record)).body
  /** What the pages of an agent, a collection and a record offer. */
  async function offered(): Promise<string[]> {
    const all: string[] = []
    for (const path of [`agents/${project}/${agents.body.data[0]?.id}`, notes, `${notes}/${id}`]) {
      await page.goto(`/admin/demo/${path}`)
      expect(await page.locator('h1').innerText()).not.toContain('nothing')
      const buttons = page.locator('main').locator('button:visible, a.button')
      all.push(...(await buttons.allInnerTexts()).filter((text) => !/Search|Show everything/.test(text)))
    }
    return all
  }
  expect(await offered()).toEqual([
    ...['Run', 'Save', 'Delete this agent'],
    ...['New record', 'Save', 'Delete this record'],
  ])
  await page.goto('/admin/demo/projects')
  await follow(page, 'Answers')
  await click(page, 'Archive this project')
  expect(await flash(page)).toContain('is archived')
  expect(await page.locator('h1').innerText()).toBe('Answers')
  await page.goto('/admin/demo/projects')
  expect(await page.locator('tbody').innerText()).toContain('archived')
  expect(await offered()).toEqual([])
  await page.goto('/admin/demo/projects')
  await follow(page, 'Answers')
  expect(await page.getByRole('button', { name: 'Save' }).count()).toBe(0)
  await click(page, 'Restore this project')
  expect(await flash(page)).toContain('can be changed again')
  expect(await main(page)).toContain(project)
})

test('the overview shows a day, a week and a month', async () => {
  const { page } = person
  for (const [name, bars] of [
    ['7 days', 7],
    ['30 days', 30],
    ['24 hours', 24],
  ] as const) {
    await page.goto('/admin/demo/')
    await follow(page, name)
    expect(await page.locator('[aria-current=true]').innerText()).toBe(name)
    expect(await page.locator('tbody').first().locator('tr').count()).toBe(bars)
    expect(await main(page)).toMatch(/Requests\s+[1-9][\d,]*\s/)
  }
  expect(person.complaints.filter((complaint) => !complaint.includes('status of 5'))).toEqual([])
})
