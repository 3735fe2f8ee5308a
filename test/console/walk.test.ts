// Every page that there is, found by its links, with hostile text in every field that an organisation or somebody it
// works with can set: accessible in both themes, wide and narrow, nothing from elsewhere, no complaint, text stays text.
import { createHmac } from 'node:crypto'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { accessible, newPerson, startBrowser, type Watched } from './browser.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of many routes
type Body = any

const HOSTILE = `<img src=x onerror=alert(1)><script>alert(1)</script>"'>{{7*7}}=1+1`
const FORMULA = `=HYPERLINK("https://evil.example","<script>alert(1)</script>")`
const LOGO =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

let stack: Stack
let browser: Browser
let models: ModelServer
let receiver: WebhookReceiver
let erasure: string
let leaving: string
beforeAll(async () => {
  ;[stack, browser, models, receiver] = await Promise.all([
    startStack({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' }),
    startBrowser(),
    startModelServer(),
    startReceiver(),
  ])
  await fill()
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
  await models?.close()
  await receiver?.close()
})

async function send(method: string, path: string, body?: object, as?: string): Promise<Body> {
  const answer = await stack.call<Body>(path, {
    method,
    ...(body && { body }),
    ...(as !== undefined && { as }),
  })
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
const post = (path: string, body: object) => send('POST', path, body)

async function fill(): Promise<void> {
  await send('PATCH', '/v1/tenant', {
    name: HOSTILE,
    customisation: { displayName: `<b>"Pages"</b>`, accentColor: '#ffff00', logoUrl: LOGO },
  })
  await post('/platform/v1/models', { name: 'small', baseUrl: models.baseUrl })
  receiver.answer('/hostile', (_, response) => response.writeHead(500).end(HOSTILE))
  await post('/v1/webhook-endpoints', { url: receiver.url('/hostile'), description: HOSTILE })
  const project = await post('/v1/projects', { name: HOSTILE, description: HOSTILE })
  const people = `/v1/projects/${project.id}/collections/people`
  await send('PUT', people, { indexes: [{ field: 'city', type: 'string' }] })
  await post(`${people}/records`, { data: { city: HOSTILE, [HOSTILE]: FORMULA } })
  const agents = `/v1/projects/${project.id}/agents`
  const agent = await post(agents, { name: HOSTILE, instructions: HOSTILE, model: 'small' })
  await post(`${agents}/${agent.id}/runs`, { input: HOSTILE })
  const source = await post('/v1/webhook-sources', {
    ...{ name: HOSTILE, provider: 'github', secret: 'hostile-secret' },
    eventTypes: { push: 'code.pushed' },
  })
  const text = JSON.stringify({ text: HOSTILE })
  const signature = createHmac('sha256', 'hostile-secret').update(text).digest('hex')
  const headers = {
    'x-hub-signature-256': `sha256=${signature}`,
    'x-github-delivery': `<img src=x onerror=alert(2)>`,
    'x-github-event': 'push',
  }
  expect((await fetch(source.url, { method: 'POST', body: text, headers })).status).toBe(200)
  await post('/v1/domains', { domain: 'api.pages.example' })
  const reader = await post('/v1/api-keys', { name: HOSTILE, scopes: ['projects:read'] })
  await post('/v1/identity-providers', {
    ...{ name: HOSTILE, issuer: 'https://id.example', audience: HOSTILE },
    ...{ clientId: HOSTILE, clientSecret: 'a-secret' },
  })
  await post('/v1/invitations', { email: 'a@b.example', role: 'viewer' })
  await post('/v1/members', {
    identity: { issuer: 'https://id.example', subject: FORMULA },
    ...{ role: 'viewer', email: null },
  })
  // What is refused is told in the audit log with what it was about.
  const refused = await fetch(`${stack.edge}/v1/projects/${encodeURIComponent(FORMULA)}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${reader.key}` },
  })
  expect(refused.status).toBe(403)
  const gone = await post('/platform/v1/tenants', {
    ...{ slug: 'leaving', name: HOSTILE, region: 'eu', plan: 'free' },
    owner: { email: 'o@leaving.example' },
  })
  const shut = await send('DELETE', '/v1/tenant?confirm=leaving', undefined, gone.apiKey.key)
  leaving = shut.tenant
  erasure = `/admin/-/erasure/eu/${shut.tenant}/${shut.id}`
}

async function enter(options: Parameters<typeof newPerson>[2] = {}): Promise<Watched> {
  const person = await newPerson(browser, stack.edge, options)
  person.page.on('dialog', (dialog) => {
    person.complaints.push('a dialog opened')
    void dialog.dismiss()
  })
  const { url } = await post('/v1/admin-links', { role: 'owner' })
  await person.page.goto(url)
  await person.page.getByRole('button', { name: 'Sign in' }).click()
  await person.page.waitForURL(/\/admin\/demo\/$/)
  return person
}

async function wellMade(page: Page, path: string, status = 200): Promise<void> {
  const answer = await page.goto(path)
  expect([path, answer?.status()]).toEqual([path, status])
  // Each page is looked at in light and in dark, one after the other.
  await accessible(page, { themes: 1 })
  const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  expect([path, wide]).toEqual([path, 0])
  expect([path, await page.locator('img[src=x], main b, main script').count()]).toEqual([path, 0])
}

/** One of each kind: pages of two records are the same page. */
const kindOf = (path: string): string => path.replace(/[a-z]{3}_[0-9a-z]{26}/g, 'id').replace(/cursor=.*/, '')

/** @returns the kinds of pages that were found from `first` on, each of which was looked at */
async function walk(page: Page, first: string, within: string): Promise<string[]> {
  const kinds = new Set<string>()
  for (const paths = [first]; paths.length > 0; ) {
    const path = paths.shift() ?? ''
    if (kinds.has(kindOf(path))) continue
    kinds.add(kindOf(path))
    await wellMade(page, path)
    const links = page.locator('nav a, main a:not([href*="/export."])')
    const hrefs = await links.evaluateAll((all) => all.map((link) => link.getAttribute('href') ?? ''))
    paths.push(...hrefs.filter((href) => href.startsWith(within)))
  }
  return [...kinds]
}

const LOOKS = {
  'light, wide': { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  'dark, 360 px': { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
} as const

describe.each(Object.entries(LOOKS))('every page is well made: %s', (_, options) => {
  test('of the console', { timeout: 240_000 }, async () => {
    const { page, complaints, context } = await enter({ ...options, userAgent: `Browser ${HOSTILE}` })
    const kinds = await walk(page, '/admin/demo/', '/admin/demo/')
    expect(kinds).toEqual(
      expect.arrayContaining([
        '/admin/demo/projects/id/collections/people/id',
        '/admin/demo/agents/id/id/runs/id',
        '/admin/demo/webhook-endpoints/deliveries/id',
        '/admin/demo/webhook-sources/id/received/id',
        '/admin/demo/usage',
      ]),
    )
    await page.goto('/admin/demo/sessions')
    expect(await page.locator('main').innerText()).toContain(HOSTILE)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('of the operator', { timeout: 120_000 }, async () => {
    const { page, complaints, context } = await newPerson(browser, stack.edge, options)
    await wellMade(page, '/platform/sign-in')
    await page.getByLabel('Operator token').fill(stack.operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(/\/platform\/$/)
    const kinds = await walk(page, '/platform/', '/platform/')
    expect(kinds).toEqual(
      expect.arrayContaining(['/platform/tenants/id', '/platform/regions', '/platform/noisy']),
    )
    await wellMade(page, '/platform/nothing', 404)
    await wellMade(page, `/platform/tenants/${leaving}/erasure`)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('for whoever is not in', { timeout: 120_000 }, async () => {
    const { page, complaints, context } = await newPerson(browser, stack.edge, options)
    const { url } = await post('/v1/admin-links', { role: 'viewer' })
    const invitation = await post('/v1/invitations', { email: 'c@d.example', role: 'viewer' })
    const pages: ReadonlyArray<[path: string, status: number]> = [
      [url, 200],
      [`${url}0`, 401],
      [invitation.url, 200],
      [`${invitation.url}0`, 404],
      ['/admin/demo/', 401],
      ['/admin/demo/sign-in', 200],
      ['/admin/demo/sign-in/callback', 400],
      ['/admin/nobody/sign-in', 404],
      ['/sign-up', 404],
      ['/sign-up/link', 404],
      [erasure, 200],
      [`${erasure.slice(0, -4)}0000`, 404],
      ['/platform/sign-in', 200],
      ['/', 200],
      ['/sign-up/nothing', 404],
    ]
    for (const [path, status] of pages) await wellMade(page, path, status)
    expect(complaints).toEqual([])
    await context.close()
  })
})

test('no cell of the audit log’s file begins a formula, and what was refused is in it', async () => {
  const { page, context } = await enter()
  const file = await page.request.get('/admin/demo/audit/export.csv?outcome=refused&action=projects.delete')
  const text = await file.text()
  expect(text).toContain(`,"'=HYPERLINK(""https://evil.example"",`)
  expect(text).not.toMatch(/(?:^|,)"?[=+@-]/m)
  await page.goto('/admin/demo/audit?outcome=refused&action=projects.delete')
  expect(await page.locator('tbody').innerText()).toContain('=HYPERLINK')
  await context.close()
})
