// `npm run screenshots`: the main pages of the console, light, dark and on a phone, into docs/images/. A stack of its
// own, with a tenant that has something to show.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, type Stack, startStack } from '../e2e/stack.ts'
import { newPerson, startBrowser } from './browser.ts'

const FOLDER = join(ROOT, 'docs', 'images')
const PAGES = ['', 'api-keys'] as const
const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1200, height: 760 } },
  dark: { colorScheme: 'dark', viewport: { width: 1200, height: 760 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 760 } },
} as const

async function fill(stack: Stack): Promise<void> {
  const post = (path: string, body: object) => stack.call(path, { method: 'POST', body })
  for (const name of ['Website', 'Warehouse', 'Reports']) await post('/v1/projects', { name })
  for (const [name, scope] of [
    ['Build server', 'projects:write'],
    ['Dashboard', 'projects:read'],
  ]) {
    await post('/v1/api-keys', { name, scopes: [scope] })
  }
  for (let i = 0; i < 40; i++) await stack.call('/v1/projects')
}

const stack = await startStack()
const browser = await startBrowser()
try {
  mkdirSync(FOLDER, { recursive: true })
  await fill(stack)
  for (const [look, options] of Object.entries(LOOKS)) {
    const { page, context } = await newPerson(browser, stack.edge, options)
    const body = { role: 'owner', email: 'ada@demo.example' }
    const link = await stack.call<{ url: string }>('/v1/admin-links', { method: 'POST', body })
    await page.goto(link.body.url)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(/\/admin\/demo\/$/)
    for (const path of PAGES) {
      await page.goto(`/admin/demo/${path}`)
      await page.screenshot({ path: join(FOLDER, `console-${path || 'overview'}-${look}.png`) })
    }
    await context.close()
  }
} finally {
  await browser.close()
  await stack.stop()
}
