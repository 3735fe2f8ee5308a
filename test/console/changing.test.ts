// What a form of the console changes: what somebody typed into it and nothing else, once, and nothing that somebody else
// has changed meanwhile.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { newPerson, startBrowser, type Watched } from './browser.ts'

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
  expect(await alert(page)).toMatch(/changed it meanwhile.*"Rome".*Expires: 2093-01-01T00:00:00\.000Z/s)
  await click(page, 'Save')
  expect(await stored()).toMatchObject({ data: { city: 'Lima' }, expiresAt: '2092-01-01T00:00:00.000Z' })

  await page.getByLabel('Expires').fill('')
  await click(page, 'Save')
  expect(await stored()).not.toHaveProperty('expiresAt')
  expect(complaints).toEqual([])
})
