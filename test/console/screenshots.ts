// `npm run screenshots`: the main pages of the console, light, dark and on a phone, into docs/images/. A stack of its
// own, with a tenant that has something to show.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { ROOT, type Stack, startStack } from '../e2e/stack.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { newPerson, startBrowser } from './browser.ts'

const FOLDER = join(ROOT, 'docs', 'images')
const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1200, height: 760 } },
  dark: { colorScheme: 'dark', viewport: { width: 1200, height: 760 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 760 } },
} as const

interface Servers {
  stack: Stack
  models: ModelServer
  receiver: WebhookReceiver
}

/** @returns the pages to show, by the name of their picture */
async function fill({ stack, models, receiver }: Servers): Promise<Record<string, string>> {
  const post = async (path: string, body: object, as?: string) => {
    const answer = await stack.call<{ id: string }>(path, {
      method: 'POST',
      body,
      ...(as !== undefined && { as }),
    })
    if (answer.status >= 400) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  await stack.call('/v1/tenant', { method: 'PATCH', body: { name: 'Acme Logistics' } })
  await post('/platform/v1/models', { name: 'small', baseUrl: models.baseUrl })
  const { id: endpoint } = await post('/v1/webhook-endpoints', {
    ...{ url: receiver.url('/orders'), description: 'Order system', types: ['project.*', 'record.*'] },
  })
  const [website] = await Promise.all(
    ['Website', 'Warehouse', 'Reports'].map((name) => post('/v1/projects', { name })),
  )
  const project = website?.id ?? ''
  // What follows is not taken.
  while (receiver.at('/orders').length < 3) await pause(20)
  receiver.answer('/orders', (_, response) => response.writeHead(503).end('{"error":"restarting"}'))
  for (const customer of ['Harbour Coffee', 'Nordlicht', 'Oliva & Co']) {
    await post(`/v1/projects/${project}/collections/orders/records`, { data: { customer, items: 3 } })
  }
  for (const [name, scope] of [
    ['Build server', 'projects:write'],
    ['Dashboard', 'projects:read'],
  ]) {
    await post('/v1/api-keys', { name, scopes: [scope] })
  }
  const agents = `/v1/projects/${project}/agents`
  const instructions = 'Answer questions about orders, briefly.'
  const { id: agent } = await post(agents, { name: 'Order desk', instructions, model: 'small' })
  await post(`${agents}/${agent}/runs`, { input: 'Hello' })
  const regions = ['us', 'eu'] as const
  for (const [i, slug] of ['harbour', 'nordlicht', 'oliva', 'tern-labs'].entries()) {
    const name = slug.charAt(0).toUpperCase() + slug.slice(1)
    const made = await stack.call<{ apiKey: { key: string } }>('/platform/v1/tenants', {
      method: 'POST',
      body: {
        ...{ slug, name, region: regions[i % 2], plan: i === 2 ? 'enterprise' : 'team' },
        owner: { email: `owner@${slug}.example` },
      },
    })
    await post('/v1/projects', { name: 'First' }, made.body.apiKey.key)
  }
  for (let i = 0; i < 240; i++) await stack.call('/v1/projects')
  for (let i = 0; i < 9; i++) await stack.call('/v1/projects/prj_none')
  return {
    overview: '/admin/demo/',
    'api-keys': '/admin/demo/api-keys',
    webhooks: `/admin/demo/webhook-endpoints/${endpoint}`,
    agent: `/admin/demo/agents/${project}/${agent}`,
    audit: '/admin/demo/audit',
    platform: '/platform/?order=cost',
  }
}

/** What a page does before it is shown. */
const DOING: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  async agent(page) {
    await page.getByLabel('Message').fill('Which orders are open?')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByText('Hello, world.').waitFor()
  },
}

if (process.argv.length > 2) {
  console.error('npm run screenshots: the pages of the console, into docs/images/. It takes no options.')
  process.exit(process.argv[2] === '--help' ? 0 : 2)
}
const [stack, browser, models, receiver] = await Promise.all([
  startStack({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' }),
  startBrowser(),
  startModelServer(),
  startReceiver(),
])
try {
  mkdirSync(FOLDER, { recursive: true })
  const pages = await fill({ stack, models, receiver })
  for (const [look, options] of Object.entries(LOOKS)) {
    const { page, context } = await newPerson(browser, stack.edge, options)
    const body = { role: 'owner', email: 'ada@demo.example' }
    const link = await stack.call<{ url: string }>('/v1/admin-links', { method: 'POST', body })
    await page.goto(link.body.url)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(/\/admin\/demo\/$/)
    await page.goto('/platform/sign-in')
    await page.getByLabel('Operator token').fill(stack.operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(/\/platform\/$/)
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(path)
      await DOING[name]?.(page)
      await page.screenshot({ path: join(FOLDER, `console-${name}-${look}.png`) })
    }
    await context.close()
  }
} finally {
  await browser.close()
  await stack.stop()
  await models.close()
  await receiver.close()
}
