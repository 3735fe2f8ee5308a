// What is long, or written from right to left, has its room on a page and no other's: nothing is cut off, what can be done
// stays on the screen, and no name turns what stands beside it. Measured in a real browser.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { newPerson, startBrowser } from './browser.ts'

const LONG =
  'Quarterly reconciliation of the inventories of all warehouses with the books of each European subsidiary'
const LONG_PATH = 'deliveries-of-the-warehouses/'.repeat(6)
const EMAIL = `${'warehouse.'.repeat(6)}x@${'subsidiary.'.repeat(8)}example.com`
/** What follows it reads from right to left, until something ends that. */
const OVERRIDE = '\u202e'

let stack: Stack
let browser: Browser
let project: string
beforeAll(async () => {
  ;[stack, browser] = await Promise.all([startStack(), startBrowser()])
  await post('/v1/api-keys', { name: LONG, scopes: ['projects:write', 'records:write', 'agents:write'] })
  project = (await post('/v1/projects', { name: LONG, description: LONG })).id
  await post(`/v1/projects/${project}/collections/${'c'.repeat(60)}/records`, { data: { text: LONG } })
  await post(`/v1/projects/${project}/agents`, { name: LONG })
  const url = `https://hooks.example.com/${LONG_PATH}`
  await post('/v1/webhook-endpoints', { url, types: ['project.*', 'record.*'], enabled: false })
  await post('/v1/webhook-sources', { name: LONG, provider: 'github', secret: 'a-long-secret' })
  await post('/v1/domains', { domain: `${'api.warehouses.'.repeat(8)}example.com` })
  const issuer = `https://id.example.com/${LONG_PATH}`
  await post('/v1/identity-providers', { name: LONG, issuer, audience: LONG })
  await post('/v1/members', { identity: { issuer, subject: 'x'.repeat(200) }, role: 'viewer', email: null })
  await post('/v1/invitations', { email: EMAIL, role: 'viewer' })
  await post('/v1/admin-links', { email: EMAIL, role: 'viewer' })
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
})

async function post(path: string, body: object): Promise<{ id: string; url: string }> {
  const answer = await stack.call<{ id: string; url: string }>(path, { method: 'POST', body })
  if (answer.status >= 400) throw new Error(`POST ${path}: ${answer.text}`)
  return answer.body
}

async function enter(options: Parameters<typeof newPerson>[2]) {
  const person = await newPerson(browser, stack.edge, options)
  await person.page.goto((await post('/v1/admin-links', { role: 'owner', email: EMAIL })).url)
  await person.page.getByRole('button', { name: 'Sign in' }).click()
  await person.page.waitForURL(/\/admin\/demo\/$/)
  return person
}

/** Every page that the menu leads to, and two that lie below it. */
async function pagesOf(page: Page): Promise<string[]> {
  const links = page.locator('nav.menu a')
  const hrefs = await links.evaluateAll((all) => all.map((link) => link.getAttribute('href') ?? ''))
  expect(hrefs.length).toBeGreaterThan(10)
  const at = `/admin/demo/projects/${project}`
  return [...hrefs, at, `${at}/collections/${'c'.repeat(60)}`]
}

/** What of the page's tables does not fit into where it stands. */
const cutOff = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>(`(() => {
    for (const each of document.querySelectorAll('details')) each.open = true
    const tables = [...document.querySelectorAll('main .scroll')].filter((each) => each.checkVisibility())
    const cells = tables.flatMap((each) => [...each.querySelectorAll('tbody :is(th, td)')])
    return [...tables, ...cells]
      .filter((each) => each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight)
      .map((each) => each.tagName + ' ' + (each.dataset.title ?? '') + ' ' + each.innerText.slice(0, 60))
  })()`)

test.each([1280, 320])('nothing in a table is cut off at %i px, however long a name is', async (width) => {
  const { page, context } = await enter({ viewport: { width, height: 800 } })
  const found: string[] = []
  for (const path of await pagesOf(page)) {
    await page.goto(path)
    found.push(...(await cutOff(page)).map((each) => `${path}: ${each}`))
  }
  expect(found).toEqual([])
  await context.close()
})

test('a link to a schema in the description of the API leads to it open', async () => {
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  await page.goto('/docs')
  await page.getByText('/v1/projects', { exact: true }).first().click()
  const link = page.locator('details[open] a[href^="#schema-"]').first()
  const schema = page.locator(`details:has(${await link.getAttribute('href')})`)
  expect(await schema.getAttribute('open')).toBeNull()
  await link.click()
  await expect.poll(() => schema.getAttribute('open')).toBe('')
  const summary = await schema.locator('summary').boundingBox()
  expect(summary?.y).toBeGreaterThanOrEqual(0)
  expect(complaints).toEqual([])
  await context.close()
})

test('who signs out finds the button whole, beside the longest name and address', async () => {
  const { page, context } = await enter({ viewport: { width: 1280, height: 800 } })
  const body = { customisation: { displayName: LONG.slice(0, 60).trim() } }
  await stack.call('/v1/tenant', { method: 'PATCH', body })
  await page.reload()
  const { height = 0 } = (await page.getByRole('button', { name: 'Sign out' }).boundingBox()) ?? {}
  // One line of text, and room around it.
  expect(Math.round(height)).toBe(40)
  await context.close()
})

/** Whether a text of the page stands from the left to the right. */
const readsOn = (page: Page, text: string): Promise<boolean> =>
  page.evaluate<boolean>(`((text) => {
    const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT)
    while (texts.nextNode() && !texts.currentNode.data.includes(text)) continue
    const range = document.createRange()
    const leftOf = (at) => {
      range.setStart(texts.currentNode, at)
      range.setEnd(texts.currentNode, at + 1)
      return range.getBoundingClientRect().left
    }
    const at = texts.currentNode.data.indexOf(text)
    return leftOf(at) < leftOf(at + text.length - 1)
  })(${JSON.stringify(text)})`)

test('a name that turns the direction of writing turns nothing but itself', async () => {
  const name = `Acme ${OVERRIDE}gnidart`
  const { page, context } = await newPerson(browser, stack.edge)
  await page.goto('/platform/sign-in')
  await page.getByLabel('Operator token').fill(stack.operatorToken)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByLabel('Slug').fill('turned')
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Owner’s e-mail address').fill('owner@turned.example')
  await page.getByRole('button', { name: 'Create the tenant' }).click()
  expect(await readsOn(page, 'is live in')).toBe(true)
  await page.goto(await page.locator('#secret').innerText())
  expect(await readsOn(page, 'turned')).toBe(true)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.goto('/admin/turned/data')
  expect(await readsOn(page, 'itself')).toBe(true)
  await context.close()
})
