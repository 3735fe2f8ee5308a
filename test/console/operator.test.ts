// The operator's pages in a real browser, and the session behind them.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identifyOperatorSession, mintOperatorSession } from '../../edge/console/operator/session.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { Isolations } from '../../regional/tenancy/isolation.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { newDataDir, type Stack, startStack } from '../e2e/stack.ts'
import { accessible, newPerson, startBrowser } from './browser.ts'

describe('an operator’s session', () => {
  const secret = toBase64url(new Uint8Array(32).fill(3))
  const operator = { id: 'ops-anna', role: 'admin' as const, secretHash: 'hash' }
  const others = [{ id: 'ops-bob', role: 'read' as const, secretHash: 'other' }, operator]
  const { role, secretHash } = operator
  const identity = {
    kind: 'operator' as const,
    principal: { kind: 'operator' as const, operatorId: operator.id, role, secretHash },
  }
  const NOW = 1_800_000_000_000
  let roots: Roots
  beforeAll(async () => {
    roots = await Roots.import([{ id: 1, secret, state: 'active' }])
  })

  test('is theirs for an hour, as long as their token is one', async () => {
    const text = await mintOperatorSession(identity, roots, NOW)
    const at = (nowMs: number, operators: typeof others = others) =>
      identifyOperatorSession(text, operators, roots, nowMs)
    expect(await at(NOW)).toEqual(identity)
    expect(await at(NOW + 59 * 60_000)).toEqual(identity)
    expect(await at(NOW + 61 * 60_000)).toBeUndefined()
    expect(await at(NOW, others.slice(0, 1))).toBeUndefined()
    const renewed = { id: operator.id, role: 'admin' as const, secretHash: 'a new token' }
    expect(await at(NOW, [renewed])).toBeUndefined()
    // While a token is renewed, the one before and the new one hold side by side.
    expect(await at(NOW, [renewed, operator])).toEqual(identity)
    expect(await at(NOW, [operator, renewed])).toEqual(identity)
    const compromised = await Roots.import([{ id: 1, secret, state: 'compromised' }])
    expect(await identifyOperatorSession(text, others, compromised, NOW)).toBeUndefined()
  })

  test('holds by a new token and by the one that it is to replace, until that is taken out', async () => {
    const renewed = { id: operator.id, role: 'admin' as const, secretHash: 'a new token' }
    const asRenewed = { ...identity, principal: { ...identity.principal, secretHash: renewed.secretHash } }
    const [before, after] = [
      await mintOperatorSession(identity, roots, NOW),
      await mintOperatorSession(asRenewed, roots, NOW),
    ]
    for (const both of [
      [operator, renewed],
      [renewed, operator],
    ]) {
      expect(await identifyOperatorSession(before, both, roots, NOW)).toEqual(identity)
      expect(await identifyOperatorSession(after, both, roots, NOW)).toEqual(asRenewed)
    }
    expect(await identifyOperatorSession(before, [renewed], roots, NOW)).toBeUndefined()
  })

  test('does not verify with any character changed, or another’s name before it', async () => {
    const text = await mintOperatorSession(identity, roots, NOW)
    for (let at = 0; at < text.length; at++) {
      const altered = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
      expect(await identifyOperatorSession(altered, others, roots, NOW)).toBeUndefined()
    }
    const renamed = text.replace('ops-anna', 'ops-bob')
    expect(await identifyOperatorSession(renamed, others, roots, NOW)).toBeUndefined()
  })
})

describe('the pages', () => {
  let stack: Stack
  let browser: Browser
  beforeAll(async () => {
    ;[stack, browser] = await Promise.all([startStack(), startBrowser()])
  })
  afterAll(async () => {
    await browser?.close()
    await stack?.stop()
  })

  test('a part that renews itself is not given the page to sign in at: the page as a whole is loaded again', async () => {
    const ask = (headers: Record<string, string>) =>
      fetch(`${stack.edge}/platform/tenants/ten_x/erasure?part=progress`, { redirect: 'manual', headers })
    const part = await ask({ 'hx-request': 'true' })
    expect([part.status, part.headers.get('hx-refresh')]).toEqual([401, 'true'])
    expect((await ask({})).status).toBe(303)
  })

  test('lose nothing that an operator has typed when the session is over', async () => {
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    await page.goto('/platform/sign-in')
    await page.getByLabel('Operator token').fill(stack.operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${stack.edge}/platform/`)
    await page.getByLabel('Slug').fill('typed')
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Typed long ago')
    await page.getByLabel('Owner’s e-mail address').fill('o@typed.example')
    await context.clearCookies()
    await page.getByRole('button', { name: 'Create the tenant' }).click()
    expect(await page.locator('main').innerText()).toMatch(/What you sent[\s\S]*Typed long ago/)
    await accessible(page)
    await page.getByLabel('Operator token').fill(stack.operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${stack.edge}/platform/`)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('let an operator in by their token, and nobody else', async () => {
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    const accessible = async () => {
      const { violations } = await new AxeBuilder({ page }).analyze()
      expect(violations.map(({ id }) => `${page.url()}: ${id}`)).toEqual([])
    }
    await page.goto('/platform/')
    expect(page.url()).toBe(`${stack.edge}/platform/sign-in`)
    await accessible()
    const signIn = async (token: string) => {
      await page.getByLabel('Operator token').fill(token)
      await page.getByRole('button', { name: 'Sign in' }).click()
    }
    for (const token of ['nonsense', stack.demo.apiKey]) {
      await signIn(token)
      expect(await page.getByLabel('Operator token').getAttribute('aria-invalid')).toBe('true')
    }
    await signIn(stack.operatorToken)
    await page.waitForURL(`${stack.edge}/platform/`)
    await accessible()

    await page.getByLabel('Find tenants').fill('DEM')
    await page.getByRole('button', { name: 'Find' }).click()
    expect(await page.locator('tbody tr').count()).toBe(1)
    await accessible()
    await page.getByLabel('Find tenants').fill(String(tenantNumberOf(stack.demo.tenantId)))
    await page.getByRole('button', { name: 'Find' }).click()
    expect(await page.locator('tbody tr').innerText()).toContain('demo')
    const next = String((tenantNumberOf(stack.demo.tenantId) ?? 0n) + 1n)
    const body = {
      slug: `${next}-own`,
      name: 'Own',
      region: 'us',
      plan: 'free',
      owner: { email: 'o@own.example' },
    }
    const own = await stack.call<{ tenant: { id: string } }>('/platform/v1/tenants', { method: 'POST', body })
    expect(String(tenantNumberOf(own.body.tenant.id))).toBe(next)
    await page.getByLabel('Find tenants').fill(next)
    await page.getByRole('button', { name: 'Find' }).click()
    expect(await page.locator('tbody tr').count()).toBe(1)
    await page.getByLabel('Find tenants').fill('no such thing')
    await page.getByRole('button', { name: 'Find' }).click()
    expect(await page.locator('main').innerText()).toContain('begins with no such thing')
    await page.getByRole('link', { name: 'Order by cost' }).click()
    expect(await page.locator('thead').innerText()).toContain('Request units')
    await accessible()
    await page.getByRole('link', { name: 'Regions' }).click()
    expect(await page.locator('tbody').innerText()).toMatch(/us\s+up\s+1\b/)
    await accessible()
    await page.getByRole('link', { name: 'Tenants', exact: true }).click()

    await page.getByLabel('Slug').fill('demo')
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('<b>Made here</b>')
    await page.getByLabel('Owner’s e-mail address').fill('o@made.example')
    await page.getByRole('button', { name: 'Create the tenant' }).click()
    expect(await page.locator('#error-slug').innerText()).toContain('Another organisation has the slug')
    await page.getByLabel('Slug').fill('made')
    await page.getByRole('button', { name: 'Create the tenant' }).click()
    const link = await page.locator('#secret').innerText()
    expect((await fetch(link)).status).toBe(200)
    await accessible()
    await page.getByRole('link', { name: 'Back to all tenants' }).click()
    await page.getByRole('link', { name: 'made' }).click()
    expect(await page.locator('h1').innerText()).toBe('<b>Made here</b>')
    const tenant = page.url()
    const name = page.getByRole('textbox', { name: 'Name', exact: true })
    await name.fill('x'.repeat(201))
    await page.getByLabel('Plan', { exact: true }).selectOption('team')
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.title()).toMatch(/^Nothing was done · <b>Made here/)
    expect(await page.locator('#error-name').innerText()).toContain('200')
    expect([await name.inputValue(), await page.getByLabel('Plan', { exact: true }).inputValue()]).toEqual([
      'x'.repeat(201),
      'team',
    ])
    await accessible()
    const madeElsewhere = () =>
      stack.call(new URL(tenant).pathname.replace('/platform/', '/platform/v1/'), {
        method: 'PATCH',
        body: { name: 'Made elsewhere' },
      })
    await name.fill('Mine')
    await madeElsewhere()
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.getByRole('alert').innerText()).toMatch(/changed it meanwhile.*Name\s+Made elsewhere/s)
    expect(await name.inputValue()).toBe('Mine')
    await accessible()
    await page.getByRole('button', { name: 'Save' }).click()
    await page.waitForURL(/done=saved/)
    // Whatever the tenant changes of itself while the page is open.
    await madeElsewhere()
    await page.getByRole('button', { name: 'Make a link' }).click()
    const another = await page.locator('#secret').innerText()
    expect([another === link, (await fetch(another)).status]).toEqual([false, 200])
    await accessible()
    await page.getByRole('link', { name: 'Back to the tenant' }).click()
    await page.getByRole('button', { name: 'Suspend the tenant' }).click()
    await page.waitForURL(/done=suspended/)
    expect((await fetch(link)).status).toBe(403)
    await page.getByRole('button', { name: 'Let it in again' }).click()
    await page.waitForURL(/done=active/)
    expect((await fetch(link)).status).toBe(200)
    await page.getByRole('button', { name: 'Suspend the tenant' }).click()
    await page.waitForURL(/done=suspended/)
    await accessible()
    await page.getByLabel('To go on, type made').fill('another')
    await page.getByRole('button', { name: 'Erase everything' }).click()
    expect(await page.getByLabel('To go on, type made').getAttribute('aria-invalid')).toBe('true')
    await madeElsewhere()
    await name.fill('Mine')
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.getByRole('alert').innerText()).toContain('changed it meanwhile')
    await page.getByLabel('To go on, type made').fill('made')
    await page.getByRole('button', { name: 'Erase everything' }).click()
    await page.waitForURL(/erasure\?done=erasing/)
    await accessible()
    await expect
      .poll(
        async () => {
          await page.reload()
          return page.locator('main').innerText()
        },
        { timeout: 20_000 },
      )
      .toMatch(/done[\s\S]*Found by the last scan\s+0 keys/)
    await accessible()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.waitForURL(/sign-in/)
    expect(await context.cookies()).toEqual([])
    expect(complaints).toEqual([])
    await context.close()
  })

  test('list who is noisy, who sees it, too', async () => {
    const dataDir = newDataDir()
    const before = await startStack({ DATA_DIR: dataDir })
    await before.stop()
    await isolate(join(dataDir, 'us'), before.demo.tenantId)
    const after = await startStack({ DATA_DIR: dataDir })
    try {
      const { page, complaints, context } = await newPerson(browser, after.edge)
      await page.goto('/platform/sign-in')
      await page.getByLabel('Operator token').fill(after.operatorToken)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('link', { name: 'Noisy tenants' }).click()
      expect(await page.locator('tbody').innerText()).toMatch(
        /demo[\s\S]*us[\s\S]*limited[\s\S]*9,000[\s\S]*400/,
      )
      await accessible(page)
      await page.getByRole('link', { name: 'demo' }).click()
      expect(await page.locator('main').innerText()).toContain('Limited since')
      await accessible(page)
      const { body } = await after.call<{ url: string }>('/v1/admin-links', {
        method: 'POST',
        body: { role: 'viewer' },
      })
      await page.goto(body.url)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.waitForURL(/\/admin\/demo\/$/)
      for (const path of ['', 'usage']) {
        await page.goto(`/admin/demo/${path}`)
        expect(await page.locator('main').innerText()).toMatch(
          /Limited since .* a quarter of its rate limit/s,
        )
        await accessible(page)
      }
      expect(complaints).toEqual([])
      await context.close()
    } finally {
      await after.stop()
      rmSync(dataDir, { recursive: true })
    }
  })

  test('name a region that does not answer, and show the tenants of the others', async () => {
    const { page, context } = await newPerson(browser, stack.edge)
    await page.goto('/platform/sign-in')
    await page.getByLabel('Operator token').fill(stack.operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${stack.edge}/platform/`)
    expect(await page.locator('main').innerText()).not.toContain('No answer')
    process.kill(stack.pid('eu'), 'SIGSTOP')
    try {
      await page.getByRole('link', { name: 'Order by cost' }).click()
      await page.waitForURL(/order=cost/)
      expect(await page.getByRole('status').innerText()).toContain('No answer from eu')
      expect(await page.locator('tbody').innerText()).toContain('demo')
      await accessible(page)
    } finally {
      process.kill(stack.pid('eu'), 'SIGCONT')
    }
    await context.close()
  })

  test('do nothing by a form of elsewhere, and are no way into the API', async () => {
    const { page, context } = await newPerson(browser, stack.edge)
    await page.goto('/platform/sign-in')
    await page.getByLabel('Operator token').fill(stack.operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${stack.edge}/platform/`)
    expect((await page.request.get('/platform/v1/tenants')).status()).toBe(401)
    const form = { slug: 'forged', name: 'Forged', region: 'us', plan: 'free', email: 'o@forged.example' }
    const headers = { 'sec-fetch-site': 'same-origin' }
    expect((await page.request.post('/platform/', { form, headers })).status()).toBe(403)
    const csrf = await page.locator('input[name=csrf]').first().inputValue()
    const evil = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    const forged = await page.request.post('/platform/', { form: { ...form, csrf }, headers: evil })
    expect(forged.status()).toBe(403)
    await context.close()
  })
})

/** As a region writes it down that it isolates a tenant; for long enough to look at. */
async function isolate(dataDir: string, tenantId: string): Promise<void> {
  const tenant = tenantNumberOf(tenantId)
  if (tenant === undefined) throw new Error(`${tenantId} is no tenant`)
  const engine = await openEngine({ dataDir })
  const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  const fail = (message: string) => {
    throw new Error(message)
  }
  const log = { info: () => {}, error: fail }
  const isolations = new Isolations({ database, now: () => Date.now() + 600_000, log })
  await isolations.keep([{ tenant, stage: 'limited', asked: 9_000, fair: 400 }])
  await engine.close()
}
