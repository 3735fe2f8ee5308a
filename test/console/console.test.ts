// The console in a real browser, over the whole stack: an admin's way from the link to a key, what each refusal says,
// and what holds on every page (accessible, nothing from elsewhere, no complaint).
import { rmSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newDataDir, type Stack, startStack } from '../e2e/stack.ts'
import { accessible, newPerson, startBrowser, type Watched } from './browser.ts'

let stack: Stack
let browser: Browser
beforeAll(async () => {
  ;[stack, browser] = await Promise.all([startStack(), startBrowser()])
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
})

interface Tenant {
  id: string
  slug: string
  key: string
  adminUrl: string
}

async function newTenant(slug: string, name = slug): Promise<Tenant> {
  const { status, body } = await stack.call<{
    tenant: { id: string }
    apiKey: { key: string }
    adminLink: { url: string }
  }>('/platform/v1/tenants', {
    method: 'POST',
    body: { slug, name, region: 'eu', plan: 'team', owner: { email: `owner@${slug}.example` } },
  })
  expect(status).toBe(201)
  return { id: body.tenant.id, slug, key: body.apiKey.key, adminUrl: body.adminLink.url }
}

async function newLink(as: string, body: object = { role: 'owner' }): Promise<{ id: string; url: string }> {
  const made = await stack.call<{ id: string; url: string }>('/v1/admin-links', { as, method: 'POST', body })
  expect(made.status).toBe(201)
  return made.body
}

/** Opens a link and uses it. */
async function enter(page: Page, url: string): Promise<void> {
  await page.goto(url)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(/\/admin\/[^/]+\/$/)
}

async function signedIn(tenant: Tenant, options: Parameters<typeof newPerson>[2] = {}): Promise<Watched> {
  const person = await newPerson(browser, stack.edge, options)
  await enter(person.page, (await newLink(tenant.key)).url)
  return person
}

const textOf = (page: Page): Promise<string> => page.locator('main').innerText()

test('from the link to a key that works, and to its end', async () => {
  const acme = await newTenant('acme', 'Acme')
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  await page.goto(acme.adminUrl)
  expect(await textOf(page)).toMatch(/owner@acme\.example.*Acme.*owner/s)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${stack.edge}/admin/acme/`)
  await page.getByRole('link', { name: 'API keys' }).click()
  await page.getByLabel('Name').fill('Build server')
  await page.getByLabel('projects:write').check()
  await page.getByRole('button', { name: 'Create the key' }).click()
  const key = await page.locator('#secret').innerText()
  expect(key).toMatch(/^ck_dev_/)
  await page.getByRole('button', { name: 'Copy' }).click()
  await expect.poll(() => page.locator('#secret-said').innerText()).toMatch(/^(Copied|Selected)/)
  const made = await stack.call('/v1/projects', { as: key, method: 'POST', body: { name: 'By key' } })
  expect(made.status).toBe(201)
  await page.getByRole('link', { name: 'Projects' }).click()
  expect(await textOf(page)).toContain('By key')
  await page.getByRole('link', { name: 'API keys' }).click()
  await page.getByRole('link', { name: 'Revoke Build server' }).click()
  await page.getByRole('button', { name: 'Revoke' }).click()
  expect(await page.getByRole('status').first().innerText()).toContain('revoked')
  expect((await stack.call('/v1/projects', { as: key })).status).toBe(401)
  await page.getByRole('button', { name: 'Sign out' }).click()
  expect(await textOf(page)).toContain('signed out')
  expect(await context.cookies()).toEqual([])
  expect(complaints).toEqual([])
  await context.close()
})

/** What a browser is given with the page of a link or an invitation. */
async function enteringCookie(url: string): Promise<string> {
  const [cookie = '', ...more] = (await fetch(url)).headers.getSetCookie()
  expect(cookie).toMatch(
    /^__Host-coditect-enter-(lnk|inv)_\w+=ct_\w+; Max-Age=900; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  )
  expect(more).toEqual([])
  return cookie.split(';')[0] ?? ''
}

/** The button of that page; the session's cookie, if it begins one. */
async function useAs(url: string, cookie: string): Promise<{ status: number; session: string | undefined }> {
  const headers = { origin: stack.edge, ...(cookie !== '' && { cookie }) }
  const answer = await fetch(url, { method: 'POST', redirect: 'manual', headers })
  const [session] = answer.headers.getSetCookie().map((each) => each.split(';')[0])
  return { status: answer.status, session }
}

test('the origin leads a browser on, and so does a page that is none; a program is told that there is nothing', async () => {
  const tenant = await newTenant('start')
  const { page, complaints, context } = await signedIn(tenant)
  expect((await page.goto('/admin/start/nothing/such'))?.status()).toBe(404)
  await page.getByRole('link', { name: 'To the console of start' }).click()
  await page.waitForURL(/\/admin\/start\/$/)
  await page.goto('/')
  await page.getByRole('link', { name: 'To the console of start' }).click()
  await page.waitForURL(/\/admin\/start\/$/)
  await page.goto('/sign-up/nothing')
  await page.getByRole('link', { name: 'To the start' }).click()
  await page.getByLabel('Organisation').fill('Not a name')
  await page.getByRole('button', { name: 'To its console' }).click()
  expect(new URL(page.url()).pathname).toBe('/')
  // As a phone begins what is typed into it.
  await page.getByLabel('Organisation').fill('Links')
  await page.getByRole('button', { name: 'To its console' }).click()
  expect(await textOf(page)).toContain('not signed in here')
  expect(complaints).toEqual([])
  await context.close()
  const program = await fetch(`${stack.edge}/`)
  expect([program.status, program.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
  const icon = await fetch(`${stack.edge}/favicon.ico`)
  expect([icon.status, icon.headers.get('content-type')]).toEqual([200, 'image/svg+xml'])
})

describe('a link', () => {
  const failures: Array<[string, (tenant: Tenant) => Promise<string>, number, RegExp]> = [
    [
      'that was used',
      async ({ key }) => {
        const { url } = await newLink(key)
        await fetch(url, { method: 'POST', redirect: 'manual' })
        return url
      },
      410,
      /has been used.*A link works once/s,
    ],
    [
      'that was revoked',
      async ({ key }) => {
        const { id, url } = await newLink(key)
        await stack.call(`/v1/admin-links/${id}`, { as: key, method: 'DELETE' })
        return url
      },
      410,
      /revoked.*Ask for a new one/s,
    ],
    [
      'that was changed',
      async ({ key }) => (await newLink(key)).url.replace(/.$/, (end) => (end === 'a' ? 'b' : 'a')),
      401,
      /not a valid link.*exactly as it was sent/s,
    ],
    ['that was cut off', async ({ key }) => (await newLink(key)).url.slice(0, -5), 401, /not a valid link/],
    ['with more in it', async ({ key }) => `${(await newLink(key)).url}&a=1`, 401, /not a valid link/],
  ]
  let tenant: Tenant
  beforeAll(async () => {
    tenant = await newTenant('links')
  })

  test.each(failures)('%s says so, and what to do', async (_, urlOf, status, text) => {
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    const answer = await page.goto(await urlOf(tenant))
    expect([answer?.status(), await textOf(page)]).toEqual([status, expect.stringMatching(text)])
    await accessible(page)
    expect(await context.cookies()).toEqual([])
    expect(complaints).toEqual([])
    await context.close()
  })

  test('that has expired says so, even when nobody remembers it', async () => {
    const { url } = await newLink(tenant.key, { role: 'viewer', expiresIn: 10 })
    await expect.poll(async () => (await fetch(url)).status, { timeout: 20_000, interval: 500 }).toBe(410)
    expect(await (await fetch(url)).text()).toContain('This link has expired')
  })

  test('that was refused is in the audit log of whose it was; with another’s end it is nobody’s', async () => {
    const { url: used } = await newLink(tenant.key)
    for (let i = 0; i < 2; i++) await fetch(used, { method: 'POST', redirect: 'manual' })
    const revoked = await newLink(tenant.key)
    await stack.call(`/v1/admin-links/${revoked.id}`, { as: tenant.key, method: 'DELETE' })
    await fetch(revoked.url)
    const other = await newTenant('other-links')
    const theirs = (await newLink(other.key)).url
    expect((await fetch(used.slice(0, -20) + theirs.slice(-20))).status).toBe(401)
    const { page, complaints, context } = await signedIn(tenant)
    await expect
      .poll(
        async () => {
          await page.goto('/admin/links/audit?outcome=refused')
          return textOf(page)
        },
        { timeout: 15_000 },
      )
      .toMatch(/(?=.*admin_link_used)(?=.*admin_link_revoked)/s)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('that was made for another address says so there, and the audit log too', async () => {
    const dataDir = newDataDir()
    const before = await startStack({ DATA_DIR: dataDir })
    const made = await before.call<{ url: string }>('/v1/admin-links', {
      method: 'POST',
      body: { role: 'owner' },
    })
    await before.stop()
    const after = await startStack({ DATA_DIR: dataDir })
    try {
      const { page, complaints, context } = await newPerson(browser, after.edge)
      expect(made.body.url.startsWith(after.edge)).toBe(false)
      const answer = await page.goto(made.body.url.replace(before.edge, after.edge))
      expect([answer?.status(), await textOf(page)]).toEqual([
        403,
        expect.stringMatching(/for another address.*exactly as it was sent/s),
      ])
      await accessible(page)
      expect(complaints).toEqual([])
      await context.close()
      const codes = async () => {
        const { body } = await after.call<{ data: Array<{ code: string }> }>('/v1/audit?outcome=refused')
        return body.data.map(({ code }) => code)
      }
      await expect.poll(codes, { timeout: 10_000 }).toContain('admin_link_elsewhere')
    } finally {
      await after.stop()
      rmSync(dataDir, { recursive: true })
    }
  })

  test('consumes nothing by being opened, nor by a form of another site', async () => {
    const { url } = await newLink(tenant.key)
    for (let i = 0; i < 3; i++) expect((await fetch(url)).status).toBe(200)
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
      expect((await fetch(url, { method: 'POST', headers, redirect: 'manual' })).status).toBe(403)
    }
    const { page, context } = await newPerson(browser, stack.edge)
    await enter(page, url)
    await context.close()
  })

  test('is used by the browser that used it still, when the answer was lost, and by no other', async () => {
    const { id, url } = await newLink(tenant.key)
    const other = await enteringCookie((await newLink(tenant.key)).url)
    const cookie = await enteringCookie(url)
    const used = await Promise.all([1, 2].map(() => useAs(url, cookie)))
    expect(used[0]).toMatchObject({
      status: 303,
      session: expect.stringMatching(/^__Host-coditect-t-links=ct_/),
    })
    expect(used[1]).toEqual(used[0])
    // Opened once more from the mail, and used from there.
    expect((await fetch(url, { headers: { cookie } })).status).toBe(200)
    expect(await useAs(url, cookie)).toEqual(used[0])
    const [, value = ''] = cookie.split('=')
    for (const stranger of [
      '',
      other,
      cookie.replace(/.$/, (end) => (end === '0' ? '1' : '0')),
      cookie.replace(value, 'ct_invented'),
    ]) {
      expect((await useAs(url, stranger)).status).toBe(410)
      expect((await fetch(url, { headers: { cookie: stranger } })).status).toBe(410)
    }
    const headers = { cookie: used[0]?.session ?? '' }
    expect((await fetch(`${stack.edge}/admin/links/`, { headers })).status).toBe(200)
    const { body } = await stack.call<{ data: Array<{ link: string }> }>('/v1/sessions?limit=100', {
      as: tenant.key,
    })
    expect(body.data.filter(({ link }) => link === id)).toHaveLength(1)
  })

  test('says whose place it takes where somebody is signed in, and leads them on once it is used', async () => {
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    const own = (await newLink(tenant.key, { role: 'owner', email: 'ada@links.example' })).url
    await page.goto(own)
    expect(await textOf(page)).not.toContain('signed in here')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(/\/admin\/links\/$/)
    const cookies = await context.cookies()
    const lesser = (await newLink(tenant.key, { role: 'viewer' })).url
    const { body: invited } = await stack.call<{ url: string }>('/v1/invitations', {
      ...{ as: tenant.key, method: 'POST', body: { email: 'eve@links.example', role: 'viewer' } },
    })
    for (const url of [lesser, invited.url]) {
      await page.goto(url)
      expect(await textOf(page)).toMatch(
        /as ada@links\.example, with the role owner\. Going on replaces that/,
      )
      await accessible(page)
      await page.getByRole('link', { name: 'Stay as you are' }).click()
      await page.waitForURL(/\/admin\/links\/$/)
      expect(await page.locator('.who').innerText()).toContain('owner')
    }
    const name = '__Host-coditect-t-links'
    const sessionIn = (all: typeof cookies) => all.find((cookie) => cookie.name === name)?.value
    expect(sessionIn(await context.cookies())).toBe(sessionIn(cookies))
    // Its own link again, and those that somebody else has used meanwhile.
    for (const url of [lesser, invited.url]) {
      const headers = { origin: stack.edge }
      expect((await fetch(url, { method: 'POST', headers, redirect: 'manual' })).status).toBe(303)
    }
    const said: Array<[url: string, text: RegExp]> = [
      [own, /This link has been used\s+You used it, in this browser/],
      [lesser, /This link has been used[\s\S]*If it was not you/],
      [invited.url, /The invitation was accepted/],
    ]
    for (const [url, text] of said) {
      await page.goto(url)
      expect(await textOf(page)).toMatch(text)
      await accessible(page)
      await page.getByRole('link', { name: 'Go on to the console' }).click()
      await page.waitForURL(/\/admin\/links\/$/)
    }
    expect(complaints).toEqual([])
    await context.close()
  })

  test('leads where it was made to lead, and never out of the console', async () => {
    const { url } = await newLink(tenant.key, { role: 'admin', returnPath: '/api-keys' })
    const entered = await fetch(url, { method: 'POST', redirect: 'manual' })
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/admin/links/api-keys'])
    const [cookie = ''] = entered.headers.getSetCookie()
    expect(cookie).toMatch(
      /^__Host-coditect-t-links=ct_\w+; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
  })
})

describe('a session', () => {
  let one: Tenant
  let two: Tenant
  beforeAll(async () => {
    one = await newTenant('one')
    two = await newTenant('two')
  })

  test('of one organisation never shows, or does, anything of another in the same browser', async () => {
    const { page, complaints, context } = await signedIn(one)
    await enter(page, (await newLink(two.key)).url)
    for (const [slug, other] of [
      ['one', 'two'],
      ['two', 'one'],
    ]) {
      await page.goto(`/admin/${slug}/projects`)
      await page.getByLabel('Name').fill(`of ${slug}`)
      await page.getByRole('button', { name: 'Create the project' }).click()
      expect(await textOf(page)).toContain(`of ${slug}`)
      expect(await textOf(page)).not.toContain(`of ${other}`)
    }
    // The cookie of one under the other's name is still the one's.
    const cookies = await context.cookies()
    const ofOne = cookies.find(({ name }) => name.endsWith('-one'))
    const ofTwo = cookies.find(({ name }) => name.endsWith('-two'))
    if (ofOne === undefined || ofTwo === undefined) throw new Error('two sessions, two cookies')
    await context.addCookies([{ ...ofTwo, value: ofOne.value }])
    const answer = await page.goto('/admin/two/projects')
    expect([answer?.status(), await textOf(page)]).toEqual([
      403,
      expect.stringContaining('another organisation'),
    ])
    await accessible(page)
    // Whose session it is hears of it.
    const codes = async () => {
      const { body } = await stack.call<{ data: Array<{ code?: string }> }>('/v1/audit?outcome=refused', {
        as: one.key,
      })
      return body.data.map(({ code }) => code)
    }
    await expect.poll(codes, { timeout: 10_000 }).toContain('tenant_mismatch')
    expect(complaints).toEqual([])
    await context.close()
  })

  test('is taken on no path of the API', async () => {
    const { page, context } = await signedIn(one)
    for (const path of ['/v1/tenant', '/console/v1/session', '/platform/v1/tenants']) {
      const answer = await page.request.get(path)
      expect([path, [401, 404].includes(answer.status())]).toEqual([path, true])
    }
    await context.close()
  })

  test('is new with each link: one that was there before is never taken over', async () => {
    const { page, context } = await newPerson(browser, stack.edge)
    const { url } = await newLink(one.key)
    const planted = (await fetch(url, { method: 'POST', redirect: 'manual' })).headers.getSetCookie()[0] ?? ''
    const [name = '', value = ''] = (planted.split(';')[0] ?? '').split(/=(.*)/s)
    await context.addCookies([{ name, value, domain: '127.0.0.1', path: '/', secure: true, httpOnly: true }])
    await enter(page, (await newLink(one.key)).url)
    expect((await context.cookies()).find((cookie) => cookie.name === name)?.value).not.toBe(value)
    await context.close()
  })

  test('does nothing by a form without its own token, or from elsewhere', async () => {
    const { page, context } = await signedIn(one)
    const other = await signedIn(one)
    const tokenOf = async (where: Page) => {
      await where.goto('/admin/one/projects')
      return where.locator('input[name=csrf]').first().inputValue()
    }
    const own = await tokenOf(page)
    const post = (form: Record<string, string>, headers: Record<string, string> = {}) =>
      page.request.post('/admin/one/projects', {
        form: { name: 'forged', ...form },
        headers: { 'sec-fetch-site': 'same-origin', ...headers },
        maxRedirects: 0,
      })
    const evil = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    expect((await post({})).status()).toBe(403)
    expect((await post({ csrf: '' })).status()).toBe(403)
    expect((await post({ csrf: await tokenOf(other.page) })).status()).toBe(403)
    expect((await post({ csrf: own }, evil)).status()).toBe(403)
    const { body } = await stack.call<{ data: Array<{ name: string }> }>('/v1/projects', { as: one.key })
    expect(body.data.filter(({ name }) => name === 'forged')).toEqual([])
    expect((await post({ csrf: own })).status()).toBe(303)
    await Promise.all([context.close(), other.context.close()])
  })

  test('a form sent twice has one effect', async () => {
    const { page, context } = await signedIn(two)
    await page.goto('/admin/two/api-keys')
    const hidden = (name: string) => page.locator(`main input[name=${name}]`).first().inputValue()
    const [csrf, once, shown] = [await hidden('csrf'), await hidden('once'), await hidden('shown')]
    const form = { csrf, once, shown, name: 'Twice', scopes: 'projects:read', days: '90' }
    const headers = { 'sec-fetch-site': 'same-origin' }
    const post = async (changed: Partial<typeof form> = {}) => {
      const answer = await page.request.post('/admin/two/api-keys', {
        form: { ...form, ...changed },
        headers,
      })
      return [answer.status(), /ck_\w+/.exec(await answer.text())?.[0]]
    }
    const first = await post()
    expect(first).toEqual([200, expect.stringMatching(/^ck_dev_/)])
    expect(await post()).toEqual(first)
    for (const wrong of [{ shown: 'never' }, { shown: '' }, { days: '1e12' }, { days: 'ninety' }]) {
      expect(await post({ ...wrong, once: `${once}-${Object.values(wrong)}` })).toEqual([422, undefined])
    }
    const { body } = await stack.call<{ data: Array<{ name: string }> }>('/v1/api-keys', { as: two.key })
    expect(body.data.filter(({ name }) => name === 'Twice')).toHaveLength(1)
    await context.close()
  })

  test('of an owner erases the organisation, by its name alone', async () => {
    const tenant = await newTenant('leaving')
    const { page, complaints, context } = await signedIn(tenant)
    await page.getByRole('link', { name: 'Data' }).click()
    const erase = async (typed: string) => {
      await page.getByLabel('To go on, type leaving').fill(typed)
      await page.getByRole('button', { name: 'Erase everything' }).click()
    }
    await erase('leavin')
    expect(await page.getByLabel('To go on').getAttribute('aria-invalid')).toBe('true')
    expect((await stack.call('/v1/tenant', { as: tenant.key })).status).toBe(200)
    await erase('leaving')
    expect(await page.title()).toBe('Erasure of the organisation')
    // It tells how far it is without being loaded again.
    await expect
      .poll(() => textOf(page), { timeout: 20_000 })
      .toMatch(/done[\s\S]*Found by the last scan\s+0 keys/)
    await accessible(page)
    expect((await stack.call('/v1/tenant', { as: tenant.key })).status).not.toBe(200)
    expect(await context.cookies()).toEqual([])
    expect(complaints).toEqual([])
    await context.close()
  })

  test('that was ended, or whose organisation is suspended, says so at once', async () => {
    const tenant = await newTenant('ending')
    const { page, complaints, context } = await signedIn(tenant)
    const set = (status: string) =>
      stack.call(`/platform/v1/tenants/${tenant.id}`, { method: 'PATCH', body: { status } })
    await set('suspended')
    const suspended = await page.goto('/admin/ending/')
    expect([suspended?.status(), await textOf(page)]).toEqual([403, expect.stringContaining('is suspended')])
    await accessible(page)
    await set('active')
    expect((await page.goto('/admin/ending/'))?.status()).toBe(200)
    await stack.call('/v1/sessions', { as: tenant.key, method: 'DELETE' })
    const ended = await page.goto('/admin/ending/')
    expect([ended?.status(), await textOf(page)]).toEqual([401, expect.stringContaining('signed out')])
    await accessible(page)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('sees and may do what its role allows', async () => {
    const { page, context } = await newPerson(browser, stack.edge)
    await enter(page, (await newLink(one.key, { role: 'viewer' })).url)
    const menu = await page.getByRole('navigation', { name: 'Console' }).innerText()
    expect(menu).toContain('Projects')
    expect(menu).not.toContain('API keys')
    const refused = await page.goto('/admin/one/api-keys')
    expect([refused?.status(), await textOf(page)]).toEqual([
      403,
      expect.stringContaining('role does not allow'),
    ])
    await page.goto('/admin/one/projects')
    expect(await page.getByRole('button', { name: 'Create the project' }).count()).toBe(0)
    await context.close()
  })

  test('changes the members whose role it may give, and shows the others', async () => {
    const identity = { issuer: 'https://login.one.example', subject: 'plain' }
    const body = { identity, role: 'member', email: 'plain@one.example' }
    const plain = await stack.call<{ id: string }>('/v1/members', { as: one.key, method: 'POST', body })
    expect(plain.status).toBe(201)
    const all = await stack.call<{ data: Array<{ id: string; role: string }> }>('/v1/members', {
      as: one.key,
    })
    const owner = all.body.data.find(({ role }) => role === 'owner')
    const cases: Array<[role: string, member: string | undefined, may: number]> = [
      ['viewer', plain.body.id, 0],
      ['admin', plain.body.id, 1],
      ['admin', owner?.id, 0],
      ['owner', owner?.id, 1],
    ]
    for (const [role, member, may] of cases) {
      const { page, context } = await newPerson(browser, stack.edge)
      await enter(page, (await newLink(one.key, { role })).url)
      expect((await page.goto(`/admin/one/members/${member}`))?.status()).toBe(200)
      const save = await page.getByRole('button', { name: 'Save' }).count()
      const remove = await page.getByRole('link', { name: 'Remove this member' }).count()
      expect([role, member, save, remove]).toEqual([role, member, may, may])
      await context.close()
    }
  })
})

describe('every page', () => {
  const HOSTILE = `<img src=x onerror=alert(1)><script>alert(1)</script>"'>{{7*7}}=1+1`
  let tenant: Tenant
  beforeAll(async () => {
    tenant = await newTenant('pages', HOSTILE)
  })

  test('that shows what changes renews itself', async () => {
    const own = await newTenant('live')
    const { page, complaints, context } = await signedIn(own)
    const projects = page.locator('dt:text-is("Projects") + dd')
    expect(await projects.innerText()).toContain('0 of')
    await stack.call('/v1/projects', { as: own.key, method: 'POST', body: { name: 'New' } })
    await expect.poll(() => projects.innerText(), { timeout: 30_000 }).toContain('1 of')
    // And says so at its end.
    const [first, last] = await Promise.all(
      [1, 0].map(async (left) => (await page.request.get(`/admin/live/live?last=week&left=${left}`)).text()),
    )
    expect(first).not.toContain('renews itself no more')
    expect(last).toMatch(/renews itself no more[\s\S]*href="\/admin\/live\/\?last=week"/)
    expect(last).not.toContain('hx-get')
    expect(complaints).toEqual([])
    await context.close()
  })

  test('that renews itself leaves alone what somebody has opened, and stays as it is without a good answer', async () => {
    const own = await newTenant('lasting')
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    await page.clock.install()
    await enter(page, own.adminUrl)
    const renewal = async () => {
      const answered = page.waitForResponse((response) => response.url().includes('/live?'))
      await page.clock.runFor(10_000)
      await (await answered).finished()
    }
    const left = () => page.locator('#live').getAttribute('hx-get')
    const projects = page.locator('dt:text-is("Projects") + dd')
    const table = page.locator('#live details').first()
    await table.locator('summary').click()
    for (const status of [503, 429]) {
      const body = '<main id="main">Wait a moment.</main>'
      await page.route('**/live?*', (route) => route.fulfill({ status, contentType: 'text/html', body }))
      await renewal()
      await page.unroute('**/live?*')
      expect([await page.locator('main').count(), await left()]).toEqual([
        1,
        expect.stringContaining('left=89'),
      ])
    }
    await stack.call('/v1/projects', { as: own.key, method: 'POST', body: { name: 'New' } })
    for (const next of [88, 87]) {
      await renewal()
      await expect.poll(left).toContain(`left=${next}`)
      expect(await projects.innerText()).toContain('1 of')
      expect(await table.getAttribute('open')).not.toBeNull()
      expect(await table.locator('summary:focus').count()).toBe(1)
    }
    expect(complaints.filter((each) => !/status of 503/.test(each))).toEqual([])
    // Nobody is signed in any more: that is said by the page, not within it.
    const sessions = await stack.call<{ data: Array<{ id: string }> }>('/v1/sessions', { as: own.key })
    for (const { id } of sessions.body.data) {
      await stack.call(`/v1/sessions/${id}`, { as: own.key, method: 'DELETE' })
    }
    await renewal()
    await expect.poll(() => textOf(page)).toContain('not signed in')
    expect(await page.locator('main').count()).toBe(1)
    await context.close()
  })

  test('of a collection finds records by an index, and edits them as JSON', async () => {
    const own = await newTenant('keeping')
    const post = (path: string, body: object) =>
      stack.call<{ id: string }>(path, { as: own.key, method: 'POST', body })
    const { body: project } = await post('/v1/projects', { name: 'Kept' })
    const people = `/v1/projects/${project.id}/collections/people`
    const indexes = [{ field: 'city', type: 'string' }]
    await stack.call(people, { as: own.key, method: 'PUT', body: { indexes } })
    for (const city of ['Paris', 'Rome', HOSTILE]) await post(`${people}/records`, { data: { city } })
    const { page, complaints, context } = await signedIn(own)
    await page.getByRole('link', { name: 'Projects' }).click()
    await page.getByRole('link', { name: 'Kept' }).click()
    await page.getByRole('link', { name: 'people' }).click()
    expect(await textOf(page)).toContain('Rome')
    await accessible(page)
    await page.getByLabel('Field').fill('city')
    await page.getByLabel('is', { exact: true }).fill('Paris')
    await page.getByRole('button', { name: 'Search' }).click()
    expect(await page.locator('tbody tr').count()).toBe(1)
    await page.locator('tbody a').click()
    await page.getByLabel('Document (JSON)').fill('{"city": ')
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.locator('#error-data').innerText()).toContain('not a JSON object')
    await page.getByLabel('Document (JSON)').fill('{"city": "Lima"}')
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.locator('.flash').innerText()).toContain('was saved')
    expect(await page.getByLabel('Document (JSON)').inputValue()).toContain('Lima')
    await accessible(page)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('saves a record as large as the API takes, whatever it is made of', async () => {
    const own = await newTenant('large')
    const post = (path: string, body: object) =>
      stack.call<{ id: string }>(path, { as: own.key, method: 'POST', body })
    const { body: project } = await post('/v1/projects', { name: 'Large' })
    const records = `/v1/projects/${project.id}/collections/things/records`
    const { page, complaints, context } = await signedIn(own)
    const documents = [
      // Quotes and ends of lines.
      { of: Array.from({ length: 30_000 }, () => ({ a: 'b' })) },
      // By far more lines than there is text.
      { of: Array.from({ length: 520_000 }, () => 1) },
    ]
    for (const data of documents) {
      const { status, body: record } = await post(records, { data })
      expect(status).toBe(201)
      await page.goto(`/admin/large/projects/${project.id}/collections/things/${record.id}`)
      await page.getByRole('button', { name: 'Save' }).click()
      expect(await page.locator('.flash').innerText()).toContain('was saved')
      const { body: saved } = await stack.call(`${records}/${record.id}`, { as: own.key })
      expect(saved).toMatchObject({ data })
    }
    expect(complaints).toEqual([])
    await context.close()
  })

  test('of keys offers to revoke one that has expired or may do more, and not to rotate it', async () => {
    const own = await newTenant('short-keys')
    const expiresAt = new Date(Date.now() + 3_000).toISOString()
    const body = { name: 'Short', scopes: ['projects:read'], expiresAt }
    expect((await stack.call('/v1/api-keys', { as: own.key, method: 'POST', body })).status).toBe(201)
    const { page, context } = await signedIn(own)
    const shown = async () => {
      await page.goto('/admin/short-keys/api-keys')
      return textOf(page)
    }
    await expect.poll(shown).toContain('expired')
    expect(await page.getByRole('link', { name: 'Rotate Short' }).count()).toBe(0)
    expect(await page.getByRole('link', { name: 'Revoke Short' }).count()).toBe(1)
    await context.close()
    // Nor does an administrator get the like of a key that may do more than they.
    const admin = await newPerson(browser, stack.edge)
    await enter(admin.page, (await newLink(own.key, { role: 'admin' })).url)
    await admin.page.goto('/admin/short-keys/api-keys')
    expect(await admin.page.getByRole('link', { name: /^Revoke / }).count()).toBe(2)
    expect(await admin.page.getByRole('link', { name: /^Rotate / }).count()).toBe(0)
    await admin.context.close()
  })

  test('for invitations gives a link that leads to where it is accepted, and takes it back', async () => {
    const own = await newTenant('inviting')
    const { page, complaints, context } = await signedIn(own)
    await page.getByRole('link', { name: 'Invitations' }).click()
    await page.getByLabel('E-mail address').fill('bob@inviting.example')
    await page.getByRole('button', { name: 'Invite' }).click()
    const url = await page.locator('#secret').innerText()
    await page.getByRole('link', { name: 'Back to all invitations' }).click()
    expect(await textOf(page)).toContain('bob@inviting.example')
    await page.getByRole('button', { name: 'Revoke' }).click()
    expect(await page.getByRole('status').first().innerText()).toContain('revoked')
    expect((await page.goto(url))?.status()).toBe(410)
    expect(await textOf(page)).toContain('was revoked')
    expect(complaints).toEqual([])
    await context.close()
  })

  test('for an invitation lets its holder become a member by it alone, once', async () => {
    const own = await newTenant('joining')
    const body = { email: 'bob@joining.example', role: 'member' }
    const invited = await stack.call<{ url: string }>('/v1/invitations', {
      as: own.key,
      method: 'POST',
      body,
    })
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    await page.goto(invited.body.url)
    await page.goto(invited.body.url)
    expect(await textOf(page)).toContain('bob@joining.example')
    await accessible(page)
    await page.getByRole('button', { name: 'Accept' }).click()
    await page.waitForURL(`${stack.edge}/admin/joining/`)
    expect(await page.locator('.who').innerText()).toContain('bob@joining.example · member')
    const members = await stack.call<{ data: Array<{ id: string; email: string; role: string }> }>(
      '/v1/members',
      {
        as: own.key,
      },
    )
    const bob = members.body.data.find(({ email }) => email === body.email)
    expect(bob?.role).toBe('member')
    const other = await newPerson(browser, stack.edge)
    expect((await other.page.goto(invited.body.url))?.status()).toBe(410)
    expect(await textOf(other.page)).toContain('was accepted')
    const again = { method: 'POST', headers: { origin: stack.edge }, redirect: 'manual' } as const
    expect((await fetch(invited.body.url, again)).status).toBe(410)
    const altered = invited.body.url.slice(0, -1) + (invited.body.url.endsWith('a') ? 'b' : 'a')
    expect((await fetch(altered, again)).status).toBe(404)
    // They come back by a link that an administrator makes for them.
    const admin = await signedIn(own)
    await admin.page.goto(`/admin/joining/members/${bob?.id}`)
    await admin.page.getByRole('button', { name: 'Make a link for them' }).click()
    expect(await textOf(admin.page)).toContain('The link for bob@joining.example')
    await accessible(admin.page)
    const back = await newPerson(browser, stack.edge)
    await enter(back.page, await admin.page.locator('#secret').innerText())
    expect(await back.page.locator('.who').innerText()).toContain('bob@joining.example · member')
    // Both sessions go with the member.
    await admin.page.goto(`/admin/joining/members/${bob?.id}/remove`)
    await admin.page.getByRole('button', { name: 'Remove' }).click()
    expect(await admin.page.locator('.flash').innerText()).toContain('was removed')
    for (const left of [page, back.page]) {
      expect((await left.goto('/admin/joining/'))?.status()).toBe(401)
    }
    expect([complaints, admin.complaints, back.complaints]).toEqual([[], [], []])
    for (const each of [context, other.context, admin.context, back.context]) await each.close()
  })

  test('where a member becomes less, or goes, shows the keys that they made, which go on', async () => {
    const own = await newTenant('keys-left')
    const identity = { issuer: 'https://login.keys-left.example', subject: 'ann' }
    const body = { identity, role: 'admin', email: 'ann@keys-left.example' }
    const ann = await stack.call<{ id: string }>('/v1/members', { as: own.key, method: 'POST', body })
    const { id } = ann.body
    const hers = await newPerson(browser, stack.edge)
    await enter(hers.page, (await newLink(own.key, { memberId: id })).url)
    await hers.page.goto('/admin/keys-left/api-keys')
    await hers.page.getByLabel('Name').fill('Of Ann')
    await hers.page.getByLabel('projects:read').check()
    await hers.page.getByRole('button', { name: 'Create the key' }).click()
    const key = await hers.page.locator('#secret').innerText()
    await hers.context.close()

    const { page, complaints, context } = await signedIn(own)
    await page.goto('/admin/keys-left/api-keys')
    await page.locator(`a[href$="/members/${id}"]`).click()
    for (const path of [`members/${id}`, `members/${id}/remove`]) {
      await page.goto(`/admin/keys-left/${path}`)
      expect(await page.locator('tbody tr').count()).toBe(1)
      expect(await textOf(page)).toMatch(/Of Ann[\s\S]*projects:read[\s\S]*All API keys/)
      await accessible(page)
    }
    await page.getByRole('button', { name: 'Remove' }).click()
    expect(await page.locator('.flash').innerText()).toContain('API keys that they made go on')
    expect((await stack.call('/v1/projects', { as: key })).status).toBe(200)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('for an invitation that is sent twice begins one session, and one member', async () => {
    const own = await newTenant('twice')
    const invited = await stack.call<{ url: string }>('/v1/invitations', {
      as: own.key,
      method: 'POST',
      body: { email: 'bob@twice.example', role: 'member' },
    })
    const { url } = invited.body
    const cookie = await enteringCookie(url)
    const used = await Promise.all([1, 2].map(() => useAs(url, cookie)))
    expect(used[0]).toMatchObject({
      status: 303,
      session: expect.stringMatching(/^__Host-coditect-t-twice=ct_/),
    })
    expect(used[1]).toEqual(used[0])
    expect((await fetch(url, { headers: { cookie } })).status).toBe(200)
    expect(await useAs(url, cookie)).toEqual(used[0])
    expect((await useAs(url, '')).status).toBe(410)
    const headers = { cookie: used[0]?.session ?? '' }
    expect((await fetch(`${stack.edge}/admin/twice/`, { headers })).status).toBe(200)
    const { body } = await stack.call<{ data: unknown[] }>('/v1/members', { as: own.key })
    expect(body.data).toHaveLength(2)
  })

  test('gives the audit log as files that no spreadsheet calculates with', async () => {
    const own = await newTenant('trail')
    await stack.call('/v1/projects', { as: own.key, method: 'POST', body: { name: '=1+1' } })
    const { page, context } = await signedIn(own)
    const csv = await page.request.get('/admin/trail/audit/export.csv?action=projects')
    expect(csv.headers()['content-disposition']).toBe('attachment; filename="audit-trail.csv"')
    const lines = (await csv.text()).trim().split('\r\n')
    expect(lines).toHaveLength(2)
    expect(lines[1]).toContain('projects.create')
    const json = await page.request.get('/admin/trail/audit/export.json?action=projects')
    expect(await json.json()).toMatchObject([{ action: 'projects.create', outcome: 'done' }])
    await page.goto('/admin/trail/audit?action=projects')
    expect(await page.locator('tbody tr').count()).toBe(1)
    await context.close()
  })

  test('shows in the audit log whose a session is, and what an operator changed', async () => {
    const own = await newTenant('whose')
    const path = `/platform/v1/tenants/${own.id}`
    await stack.call(path, { method: 'PATCH', body: { name: 'Whose', limits: { projects: 7 } } })
    const { page, context } = await newPerson(browser, stack.edge)
    // The owner's own; other links may be nobody's.
    await enter(page, own.adminUrl)
    await page.goto('/admin/whose/audit?action=tenants.update')
    expect(await page.locator('tbody').innerText()).toContain('tenants.update (name, limits.projects)')
    await page.goto('/admin/whose/audit?action=audit.list')
    await page.getByRole('link', { name: /^mem_/ }).first().click()
    expect(await page.locator('tbody').innerText()).toContain('sessions.enter')
    await context.close()
  })

  test('gives the audit log as a whole file, however slowly the organisation may ask for its pages', async () => {
    const own = await newTenant('patient')
    const entries = 310
    for (let made = 0; made < entries; made += 31) {
      await Promise.all(
        Array.from({ length: 31 }, () =>
          stack.call('/v1/projects', { as: own.key, method: 'POST', body: { name: 'One of many' } }),
        ),
      )
    }
    const { page, context } = await signedIn(own)
    // Four pages, of two units each.
    const limits = { requestsPerSecond: 2, burst: 4 }
    await stack.call(`/platform/v1/tenants/${own.id}`, { method: 'PATCH', body: { limits } })
    const policy = async () =>
      (await stack.call('/v1/tenant', { as: own.key })).headers.get('ratelimit-policy') ?? ''
    await expect.poll(policy, { timeout: 20_000, interval: 500 }).toMatch(/q=4\b/)
    const file = async () => {
      const answer = await page.request.get('/admin/patient/audit/export.json?action=projects')
      return answer.ok() ? ((await answer.json()) as unknown[]).length : answer.status()
    }
    // Whether the session is let through at all is another matter.
    await expect.poll(file, { timeout: 40_000, interval: 2_000 }).toBe(entries)
    await context.close()
  })

  test('waits a moment for the organisation’s rate, where several tabs are opened at once', async () => {
    const own = await newTenant('tabs')
    const project = (
      await stack.call<{ id: string }>('/v1/projects', { as: own.key, method: 'POST', body: { name: 'P' } })
    ).body.id
    const agents = `/v1/projects/${project}/agents`
    const agent = await stack.call<{ id: string }>(agents, {
      as: own.key,
      method: 'POST',
      body: { name: 'A' },
    })
    const { page, context } = await signedIn(own)
    const body = { plan: 'free' }
    await stack.call(`/platform/v1/tenants/${own.id}`, { method: 'PATCH', body })
    const policy = async () =>
      (await stack.call('/v1/tenant', { as: own.key })).headers.get('ratelimit-policy') ?? ''
    await expect.poll(policy, { timeout: 20_000, interval: 500 }).toMatch(/q=40\b/)
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => page.request.get(`/admin/tabs/agents/${project}/${agent.body.id}`)),
    )
    expect(answers.map((answer) => answer.status())).toEqual(answers.map(() => 200))
    await context.close()
  })

  test('of the audit log goes on where it was, whatever is written meanwhile, and keeps its filter', async () => {
    const own = await newTenant('paging')
    const make = (name: string) => stack.call('/v1/projects', { as: own.key, method: 'POST', body: { name } })
    for (let i = 0; i < 60; i++) await make(`p${i}`)
    const { page, context } = await signedIn(own)
    const targets = () => page.locator('tbody td[data-title=Target]').allInnerTexts()
    await page.goto('/admin/paging/audit?action=projects')
    const first = await targets()
    for (let i = 0; i < 7; i++) await make(`late${i}`)
    await page.getByRole('link', { name: 'Next page' }).click()
    const second = await targets()
    expect([first.length, second.length]).toEqual([50, 10])
    expect(new Set([...first, ...second]).size).toBe(60)
    expect(await page.getByLabel('Action').inputValue()).toBe('projects')
    const file = await page.request.get('/admin/paging/audit/export.json?action=projects')
    expect(await file.json()).toHaveLength(67)
    for (const [filter, rows] of [
      [`target=${first[0]}`, 1],
      [`target=${first[0]}&action=api-keys`, 0],
      ['actor=nobody', 0],
      ['since=2999-01-01T00:00', 0],
      ['until=2000-01-01T00:00', 0],
      ['action=projects&until=2999-01-01T00:00', 50],
    ] as const) {
      await page.goto(`/admin/paging/audit?${filter}`)
      expect([filter, await page.locator('tbody tr').count()]).toEqual([filter, rows])
    }
    await page.goto(`/admin/paging/audit?target=${'x'.repeat(201)}&action=projects`)
    expect(await page.locator('#error-target').innerText()).toContain('200 characters')
    expect(await page.getByLabel('Action').inputValue()).toBe('projects')
    await accessible(page)
    // What cannot be asked is told beside the filters that asked for it.
    for (const wrong of ['action=projects&since=yesterday', 'action=projects&cursor=nowhere']) {
      expect((await page.goto(`/admin/paging/audit?${wrong}`))?.status()).toBe(400)
      expect(await page.locator('[role=alert], #error-since').count()).toBe(1)
      expect(await page.getByLabel('Action').inputValue()).toBe('projects')
    }
    await page.getByRole('button', { name: 'Show' }).click()
    expect(await page.locator('tbody tr').count()).toBe(50)
    await context.close()
  })

  test('leads on from a project without anything in it, and not into one that is not there', async () => {
    const own = await newTenant('onwards')
    const enterAs = async (role: string) => {
      const person = await newPerson(browser, stack.edge)
      await enter(person.page, (await newLink(own.key, { role })).url)
      return person
    }
    const viewer = await enterAs('viewer')
    await viewer.page.goto('/admin/onwards/agents')
    expect(await textOf(viewer.page)).toContain('No projects yet')
    expect(await viewer.page.getByRole('link', { name: 'Create the first one' }).count()).toBe(0)
    const { page, complaints, context } = await enterAs('member')
    await page.goto('/admin/onwards/agents')
    await page.getByRole('link', { name: 'Create the first one' }).click()
    await page.getByLabel('Name', { exact: true }).fill('First')
    await page.getByRole('button', { name: 'Create the project' }).click()
    const project = new URL(page.url()).pathname
    await page.getByLabel('Name of a collection').fill('../of others')
    await page.getByRole('button', { name: 'New record in it' }).click()
    expect(await page.locator('input[name=collection]:invalid').count()).toBe(1)
    await page.goto(`${project}/collections?collection=../of%20others`)
    expect(new URL(page.url()).pathname).toBe(project)
    await page.getByLabel('Name of a collection').fill('of-ours')
    await accessible(page)
    await page.getByRole('button', { name: 'New record in it' }).click()
    await page.getByLabel('Document (JSON)').fill('{"city": "Lima"}')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.goto(project)
    await page.getByRole('link', { name: 'of-ours' }).click()
    expect(await textOf(page)).toContain('Lima')
    await viewer.page.goto(project)
    expect(await viewer.page.getByLabel('Name of a collection').count()).toBe(0)
    const none = await page.goto(`${project.slice(0, -1)}x/collections/of-ours/new`)
    expect([none?.status(), await page.locator('textarea').count()]).toEqual([404, 0])
    expect(complaints).toEqual([])
    for (const person of [viewer.context, context]) await person.close()
  })

  test('leads to what lies beyond the first page: every collection, and the agents of every project', async () => {
    const own = await newTenant('beyond')
    const make = (method: string, path: string, body: object) =>
      stack.call<{ id: string }>(path, { as: own.key, method, body })
    for (let made = 0; made < 100; made += 25) {
      await Promise.all(Array.from({ length: 25 }, () => make('POST', '/v1/projects', { name: 'Of many' })))
    }
    const { id } = (await make('POST', '/v1/projects', { name: 'The last' })).body
    await Promise.all(
      Array.from({ length: 26 }, (_, i) =>
        make('PUT', `/v1/projects/${id}/collections/c${String(i).padStart(2, '0')}`, {}),
      ),
    )
    const { page, complaints, context } = await signedIn(own)
    await page.goto(`/admin/beyond/projects/${id}`)
    expect(await page.getByRole('link', { name: 'c25' }).count()).toBe(0)
    await page.getByRole('link', { name: 'Next page' }).click()
    await page.getByRole('link', { name: 'c25' }).waitFor()
    await page.getByRole('link', { name: 'Its agents' }).click()
    expect(await textOf(page)).toContain('No agents in The last')
    await accessible(page)
    // A form that has to be mended makes it there, too.
    await page.getByLabel('Name', { exact: true }).fill('Here')
    await page.getByLabel('Temperature').fill('hot')
    await page.getByRole('button', { name: 'Create the agent' }).click()
    await page.getByLabel('Temperature').fill('1')
    await page.getByRole('button', { name: 'Create the agent' }).click()
    await page.waitForURL(/\?done=created$/)
    const { body } = await stack.call(`/v1/projects/${id}/agents`, { as: own.key })
    expect(body).toMatchObject({ data: [{ name: 'Here' }] })
    const none = await page.goto(
      `/admin/beyond/agents?project=${id.replace(/.$/, (end) => (end === 'a' ? 'b' : 'a'))}`,
    )
    expect([none?.status(), await textOf(page)]).toEqual([
      404,
      expect.stringContaining('There is nothing here'),
    ])
    expect(complaints).toEqual([])
    await context.close()
  })

  test('with a record that somebody else has changed loses nothing of either', async () => {
    const own = await newTenant('meanwhile')
    const post = (path: string, body: object) =>
      stack.call<{ id: string }>(path, { as: own.key, method: 'POST', body })
    const { body: project } = await post('/v1/projects', { name: 'Kept' })
    const records = `/v1/projects/${project.id}/collections/people/records`
    const { body: record } = await post(records, { data: { city: 'Paris' } })
    const { page, complaints, context } = await signedIn(own)
    await page.goto(`/admin/meanwhile/projects/${project.id}/collections/people/${record.id}`)
    await stack.call(`${records}/${record.id}`, {
      ...{ as: own.key, method: 'PUT', body: { data: { city: 'Rome' } } },
    })
    await page.getByLabel('Document (JSON)').fill('{"city": "Lima"}')
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.getByRole('alert').innerText()).toMatch(/changed it meanwhile.*"Rome"/s)
    expect(await page.getByLabel('Document (JSON)').inputValue()).toBe('{"city": "Lima"}')
    await accessible(page)
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.locator('.flash').innerText()).toContain('was saved')
    // Any other form, too.
    await page.goto(`/admin/meanwhile/projects/${project.id}`)
    await stack.call(`/v1/projects/${project.id}`, {
      ...{ as: own.key, method: 'PATCH', body: { name: 'Theirs' } },
    })
    await page.getByLabel('Name', { exact: true }).fill('Mine')
    await page.getByRole('button', { name: 'Save' }).click()
    expect(await page.getByRole('alert').innerText()).toMatch(/changed it meanwhile.*Name\s+Theirs/s)
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('Mine')
    await accessible(page)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('loses nothing that was typed when the session is over, or the region does not answer', async () => {
    const own = await newTenant('typing')
    const { page, complaints, context } = await signedIn(own)
    const send = async (name: string) => {
      await page.getByLabel('Name').fill(name)
      await page.getByRole('button', { name: 'Create the project' }).click()
    }
    const signedOut = async () => {
      const sessions = await stack.call<{ data: Array<{ id: string }> }>('/v1/sessions', { as: own.key })
      for (const { id } of sessions.body.data) {
        await stack.call(`/v1/sessions/${id}`, { as: own.key, method: 'DELETE' })
      }
    }
    const other = await context.newPage()
    await other.goto('/admin/typing/webhook-sources')
    await other.getByLabel('Name', { exact: true }).fill('Sealed')
    await other.getByLabel('Provider').selectOption('github')
    await other.getByLabel('Secret', { exact: true }).fill('not-to-be-seen')
    await page.goto('/admin/typing/projects')
    await stack.kill('eu')
    await send('In vain')
    expect(await page.title()).toMatch(/^Perhaps not done · /)
    expect(await textOf(page)).toMatch(/region does not answer[\s\S]*What you sent[\s\S]*In vain/)
    await accessible(page)
    await other.getByRole('button', { name: 'Create the source' }).click()
    expect(await textOf(other)).toMatch(/What you sent[\s\S]*Sealed/)
    expect(await other.content()).not.toContain('not-to-be-seen')
    await accessible(other)
    await stack.back('eu')
    await other.getByLabel('Secret').fill('not-to-be-seen')
    await other.getByRole('button', { name: 'Send it again' }).click()
    expect(await textOf(other)).toContain('The URL to send to')
    await page.getByRole('button', { name: 'Send it again' }).click()
    expect(await page.locator('.flash').innerText()).toContain('The project')
    expect(await textOf(page)).toContain('In vain')

    // Two tabs, of which the first to send hears why the session is over; the other has no cookie any more.
    await page.goto('/admin/typing/projects')
    await other.goto('/admin/typing/projects')
    await signedOut()
    for (const [tab, said] of [
      [page, /You are signed out[\s\S]*What you sent[\s\S]*Once more/],
      [other, /You are not signed in here[\s\S]*What you sent[\s\S]*Once more/],
    ] as const) {
      await tab.getByLabel('Name').fill('Once more')
      await tab.getByRole('button', { name: 'Create the project' }).click()
      expect(await textOf(tab)).toMatch(said)
      expect(await tab.getByRole('link', { name: 'Sign in' }).count()).toBe(1)
      expect(await tab.getByRole('button', { name: 'Send it again' }).count()).toBe(0)
    }
    // Nor with a form of the session before the present one, which does nothing.
    await enter(page, (await newLink(own.key)).url)
    await page.goto('/admin/typing/projects')
    await signedOut()
    await enter(other, (await newLink(own.key)).url)
    await send('Of before')
    expect(await textOf(page)).toMatch(/Nothing was done[\s\S]*What you sent[\s\S]*Of before/)

    // Whoever goes is out of this browser, whether the region answers or not.
    await page.goto('/admin/typing/projects')
    await stack.kill('eu')
    await page.getByRole('button', { name: 'Sign out' }).click()
    expect(await textOf(page)).toMatch(/You are signed out[\s\S]*may live on/)
    expect(await context.cookies()).toEqual([])
    await stack.back('eu')
    expect(complaints.filter((each) => !/status of 503/.test(each))).toEqual([])
    await context.close()
  })

  test('says what is wrong beside the field, and keeps what was typed', async () => {
    const { page, context } = await signedIn(tenant)
    await page.goto('/admin/pages/api-keys')
    await page.getByLabel('Name').fill('Nothing allowed')
    await page.getByRole('button', { name: 'Create the key' }).click()
    expect(await page.title()).toMatch(/^Nothing was done · API keys/)
    const group = page.getByRole('group', { name: 'What it allows' })
    expect(await group.getAttribute('aria-invalid')).toBe('true')
    expect(await page.getByLabel('Name').inputValue()).toBe('Nothing allowed')
    await accessible(page)
    await context.close()
  })

  test.each([true, false])(
    'begins where something is wrong, however long it is (script: %s)',
    async (script) => {
      const { page, context } = await signedIn(tenant, { javaScriptEnabled: script })
      await page.setViewportSize({ width: 1280, height: 400 })
      const wrong = page.locator(':focus')
      await page.goto('/admin/pages/api-keys')
      await page.getByLabel('Name').fill('Nothing allowed')
      await page.getByRole('button', { name: 'Create the key' }).click()
      await wrong.waitFor()
      expect(await wrong.getAttribute('value')).toBe('*')
      await page.goto('/admin/pages/webhook-endpoints')
      await page.getByLabel('URL').fill('https://example.com')
      await page.getByLabel('Types of events').fill('nothing.such')
      await page.getByRole('button', { name: 'Create the endpoint' }).click()
      await wrong.waitFor()
      expect(await wrong.getAttribute('name')).toBe('types')
      const { y = -1, height = 0 } = (await wrong.boundingBox()) ?? {}
      expect([y >= 0, y + height <= 400]).toEqual([true, true])
      await context.close()
    },
  )

  test('is worked with the keyboard alone, from the link to a key and its end', async () => {
    const { page, complaints, context } = await newPerson(browser, stack.edge)
    await page.goto((await newLink(tenant.key)).url)
    await press(page, 'Sign in')
    await page.waitForURL(/admin\/pages\/$/)
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    await page.waitForURL(/#main$/)
    await page.goto('/admin/pages/')
    await press(page, 'API keys')
    await page.waitForURL(/api-keys$/)
    await tabTo(page, 'Name')
    await page.keyboard.type('By hand')
    await tabTo(page, 'projects:read')
    await page.keyboard.press('Space')
    await press(page, 'Create the key')
    await page.locator('#secret').waitFor()
    await press(page, 'Copy')
    await expect.poll(() => page.locator('#secret-said').innerText()).toMatch(/^(Copied|Selected)/)
    await press(page, 'Back to all keys')
    await page.waitForURL(/api-keys$/)
    await page.getByRole('link', { name: 'Revoke By hand' }).waitFor()
    await press(page, 'Revoke By hand')
    await page.waitForURL(/\/revoke$/)
    await press(page, 'Revoke')
    await page.waitForURL(/done=revoked/)
    // On a narrow page the menu opens, and closes, by its button.
    await page.setViewportSize({ width: 360, height: 740 })
    const menu = page.getByRole('navigation', { name: 'Console' })
    expect(await menu.isVisible()).toBe(false)
    await press(page, 'Menu')
    await menu.waitFor()
    await page.keyboard.press('Escape')
    await menu.waitFor({ state: 'hidden' })
    expect(await focused(page)).toBe('Menu')
    await press(page, 'Menu')
    await press(page, 'Sessions')
    await page.waitForURL(/sessions$/)
    expect(complaints).toEqual([])
    await context.close()
  })

  test('does all but what is live without script', async () => {
    const own = await newTenant('plain')
    const { page, complaints, context } = await signedIn(own, { javaScriptEnabled: false })
    const at = (path: string) => page.goto(`/admin/plain/${path}`)
    const click = (name: string) => page.getByRole('button', { name, exact: true }).click()
    const flash = () => page.locator('.flash').innerText()
    await at('projects')
    await page.getByLabel('Name').fill('Without script')
    await page.keyboard.press('Enter')
    expect(await flash()).toContain('The project')
    const project = new URL(page.url()).pathname.split('/').at(-1)
    await at(`projects/${project}/collections/people/new`)
    await page.getByLabel('Document (JSON)').fill('{"city": "Lima"}')
    await click('Save')
    expect(await flash()).toContain('was created')
    await page.getByLabel('Document (JSON)').fill('{"city": "Rome"}')
    await click('Save')
    expect(await flash()).toContain('was saved')
    await page.getByRole('link', { name: 'Delete this record' }).click()
    await click('Delete')
    expect(await flash()).toContain('was deleted')
    await at('api-keys')
    await page.getByLabel('Name').fill('Plain')
    await page.getByLabel('projects:read').check()
    await click('Create the key')
    const key = await page.locator('#secret').innerText()
    expect((await stack.call('/v1/projects', { as: key })).status).toBe(200)
    // It copies nothing without a script, so it is not there.
    expect(await page.getByRole('button', { name: 'Copy' }).count()).toBe(0)
    await at('links')
    await page.getByLabel(/^For whom/).fill('bob@plain.example')
    await click('Create the link')
    expect(await page.locator('#secret').innerText()).toContain('/admin/enter?link=')
    await at('links')
    await page.getByRole('button', { name: 'Revoke the link for bob@plain.example' }).click()
    expect(await flash()).toContain('revoked')
    await at('settings')
    await page.getByLabel('Name in this console').fill('Plainly')
    await click('Save')
    expect(await page.locator('.brand').innerText()).toBe('Plainly')
    await at('audit')
    await page.getByText('Filter', { exact: true }).click()
    await page.getByLabel('Action').fill('projects.create')
    await click('Show')
    expect(await page.locator('tbody tr').count()).toBe(1)
    await at('?last=week')
    expect(await page.locator('svg.chart').count()).toBe(3)
    await page.getByText('The same as a table').first().click()
    expect(await page.locator('figure tbody').first().locator('tr').count()).toBe(7)
    await at('sessions/end-all')
    await click('End all')
    expect(await textOf(page)).toContain('signed out')
    expect(complaints).toEqual([])
    await context.close()
  })

  test('is at most 60 kB over the wire the first time, all in', async () => {
    const { context } = await signedIn(tenant)
    // A browser that has the session and nothing else: what is kept already would weigh nothing.
    const first = await newPerson(browser, stack.edge, { storageState: await context.storageState() })
    const weights: Array<Promise<[name: string, bytes: number]>> = []
    first.page.on('requestfinished', (request) => {
      const name = new URL(request.url()).pathname.split('/').at(-1) || 'page'
      weights.push(
        request.sizes().then(({ responseBodySize: body, responseHeadersSize }) => {
          if (body <= 0) throw new Error(`${name} did not come over the wire`)
          return [name, body + responseHeadersSize]
        }),
      )
    })
    await first.page.goto('/admin/pages/', { waitUntil: 'networkidle' })
    const all = new Map(await Promise.all(weights))
    expect([...all.keys()]).toEqual(expect.arrayContaining(['page', 'console.css', 'console.js', 'htmx.js']))
    expect([...all.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(60_000)
    await Promise.all([context.close(), first.context.close()])
  })

  test('may not be framed, kept, or run anything but the console’s own', async () => {
    const { page, context } = await signedIn(tenant)
    const headers = (await page.goto('/admin/pages/'))?.headers() ?? {}
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
    })
    const policy = headers['content-security-policy'] ?? ''
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toContain("script-src 'self';")
    expect(policy).not.toContain('unsafe')
    await context.close()
  })
})

/** The name of what the keyboard is at. */
const focused = (page: Page): Promise<string> =>
  page.evaluate(`(() => {
    const at = document.activeElement
    const name = at.getAttribute('aria-label') ?? at.labels?.[0]?.innerText
    return (name || at.innerText || '').trim()
  })()`)

/** Goes on by the Tab key until it is there, where one has to see that it is. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let steps = 0; steps < 120; steps++) {
    await page.keyboard.press('Tab')
    if ((await focused(page)) !== name) continue
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
    expect([name, outline]).toEqual([name, 'solid'])
    return
  }
  throw new Error(`${name} is not reached by the keyboard on ${page.url()}`)
}

async function press(page: Page, name: string): Promise<void> {
  await tabTo(page, name)
  await page.keyboard.press('Enter')
}
