// A stranger makes an organisation: in a real browser, with a letter from a real SMTP server.
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type Mailbox, openMailbox } from '../support/mailbox.ts'
import { newPerson, startBrowser } from './browser.ts'

let mailbox: Mailbox
let stack: Stack
let browser: Browser
beforeAll(async () => {
  mailbox = await openMailbox()
  const variables = { SIGNUP: 'open', SMTP_URL: mailbox.url, MAIL_FROM: 'hello@coditect.example' }
  ;[stack, browser] = await Promise.all([startStack(variables), startBrowser()])
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
  await mailbox?.close()
})

/** The link in the last letter. */
const linkIn = (): string => {
  const raw = (mailbox.mails.at(-1)?.raw ?? '').replaceAll(/=\r\n/g, '').replaceAll('=3D', '=')
  return /http\S+\/(?:sign-up\/confirm\?token|admin\/enter\?link)=[\w-]+/.exec(raw)?.[0] ?? ''
}

const slugs = async () => {
  const { body } = await stack.call<{ data: Array<{ slug: string }> }>('/platform/v1/tenants')
  return body.data.map(({ slug }) => slug)
}

const asked = { name: 'Acme', slug: 'acme', email: 'ada@acme.example', region: 'eu' }
const send = (form: Record<string, string>, headers: Record<string, string> = {}) =>
  fetch(`${stack.edge}/sign-up`, {
    method: 'POST',
    headers: { origin: stack.edge, ...headers },
    body: new URLSearchParams(form),
    redirect: 'manual',
  })

test('from the form over the letter into the console of one’s own organisation', async () => {
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  await page.goto('/sign-up')
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  await page.getByLabel('Name', { exact: true }).fill(asked.name)
  await page.getByLabel('Slug').fill('Not a slug')
  await page.getByLabel('Your e-mail address').fill(asked.email)
  await page.getByLabel('Region').selectOption(asked.region)
  await page.getByRole('button', { name: 'Send the e-mail' }).click()
  expect(await page.getByLabel('Slug').getAttribute('aria-invalid')).toBe('true')
  expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe(asked.name)
  await page.getByLabel('Slug').fill(asked.slug)
  await page.getByRole('button', { name: 'Send the e-mail' }).click()
  await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor()
  expect(mailbox.mails.map(({ to }) => to)).toEqual([[asked.email]])
  // Opening the link makes nothing yet.
  await page.goto(linkIn())
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  expect(await slugs()).toEqual(['demo'])
  await page.getByRole('button', { name: 'Create the organisation' }).click()
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${stack.edge}/admin/acme/`)
  expect(await slugs()).toEqual(['demo', 'acme'])
  const { body } = await stack.call<{ data: unknown[] }>('/platform/v1/tenants')
  expect(body.data[1]).toMatchObject({ slug: 'acme', plan: 'free', region: 'eu', name: 'Acme' })
  expect(complaints).toEqual([])
  await context.close()
})

test('the same letter makes no second organisation, but lets its owner in again; one that was altered makes none', async () => {
  const link = linkIn()
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  await page.goto(link)
  await page.getByText('is there, in the region eu').waitFor()
  await page.getByRole('button', { name: 'Open the organisation' }).click()
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${stack.edge}/admin/acme/`)
  // There is no key that nobody has seen.
  await page.goto('/admin/acme/api-keys')
  await page.getByText('No API keys').waitFor()
  expect(complaints).toEqual([])
  await context.close()
  expect(await slugs()).toEqual(['demo', 'acme'])
  for (const altered of [link.slice(0, -1), `${link}A`, link.replace('token=', 'token=A')]) {
    for (const method of ['GET', 'POST']) {
      const answer = await fetch(altered, { method, headers: { origin: stack.edge } })
      const page = await answer.text()
      expect([answer.status, page]).toEqual([
        404,
        expect.stringContaining('not a link that was sent from here'),
      ])
      expect(page).toContain('href="/sign-up"')
    }
  }
})

test('who signed up comes back by a new letter, and the page tells nobody whether one was sent', async () => {
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  const sent = mailbox.mails.length
  const ask = async (slug: string, email: string) => {
    await page.getByLabel('Slug').fill(slug)
    await page.getByLabel('Your e-mail address').fill(email)
    await page.getByRole('button', { name: 'Send me a link' }).click()
    await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor()
    return (await page.locator('main').innerText()).replaceAll(email, '…').replaceAll(slug, '…')
  }
  await page.goto('/sign-up')
  await page.getByRole('link', { name: 'Get a link to it' }).click()
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  const said = [await ask('nobody', asked.email)]
  await page.goto('/sign-up/link')
  said.push(await ask(asked.slug, 'eve@acme.example'))
  await page.goto('/sign-up/link')
  said.push(await ask(asked.slug, asked.email))
  expect(new Set(said).size).toBe(1)
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  await expect.poll(() => mailbox.mails.length).toBe(sent + 1)
  expect(mailbox.mails.at(-1)?.to).toEqual([asked.email])
  await page.goto(linkIn())
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${stack.edge}/admin/acme/`)
  expect(complaints).toEqual([])
  await context.close()
})

test('who signed up reads of that way wherever there is no other, and it tells nobody which organisations there are', async () => {
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  const used = linkIn()
  const pages: Array<[path: string, status: number]> = [
    [used, 410],
    ['/admin/acme/projects', 401],
    ['/admin/nobody/projects', 401],
    ['/admin/acme/sign-in', 404],
    ['/admin/nobody/sign-in', 404],
  ]
  const way = page.getByRole('link', { name: 'Get a link to it' })
  for (const [path, status] of pages) {
    expect((await page.goto(path))?.status()).toBe(status)
    expect(await way.getAttribute('href')).toBe('/sign-up/link')
  }
  await page.goto('/admin/acme/projects')
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  const made = await stack.call<{ url: string }>('/v1/admin-links', {
    method: 'POST',
    body: { role: 'owner' },
  })
  await page.goto(made.body.url)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('You are signed out').waitFor()
  expect(await way.count()).toBe(1)
  expect(complaints).toEqual([])
  await context.close()
})

test('a taken slug, a form of another origin and a mailbox that takes nothing are told so', async () => {
  const taken = await send({ ...asked, email: 'eve@acme.example' })
  expect([taken.status, await taken.text()]).toEqual([409, expect.stringContaining('has the slug acme')])
  expect((await send({ ...asked, slug: 'other' }, { origin: 'https://evil.example' })).status).toBe(403)
  mailbox.refuseWith = 550
  const refused = await send({ ...asked, slug: 'other', email: 'nobody@acme.example' })
  expect([refused.status, await refused.text()]).toEqual([
    422,
    expect.stringMatching(/<title>Nothing was done.*takes no letters/s),
  ])
  mailbox.refuseWith = 451
  const later = await send({ ...asked, slug: 'other', email: 'busy@acme.example' })
  expect([later.status, await later.text()]).toEqual([
    503,
    expect.stringContaining('Try again in a few minutes'),
  ])
  mailbox.refuseWith = undefined
  const wild = await send({
    ...asked,
    slug: 'wild',
    name: '<script>alert(1)</script>',
    email: 'wild@acme.example',
  })
  expect(wild.status).toBe(202)
  expect(await (await fetch(linkIn())).text()).not.toContain('<script>alert(1)')
})

test('nothing that a stranger typed is lost while the control region does not answer', async () => {
  const { page, context } = await newPerson(browser, stack.edge)
  await page.goto('/sign-up')
  await page.getByLabel('Name', { exact: true }).fill('Patient')
  await page.getByLabel('Slug').fill('patient')
  await page.getByLabel('Your e-mail address').fill('pat@patient.example')
  await stack.kill('us')
  await page.getByRole('button', { name: 'Send the e-mail' }).click()
  expect(await page.title()).toMatch(/^Perhaps not done · /)
  expect(await page.locator('main').innerText()).toMatch(/What you sent.*Patient.*pat@patient\.example/s)
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
  await stack.back('us')
  await page.getByRole('button', { name: 'Send it again' }).click()
  await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor()
  await context.close()
})

test('nobody is sent letters without end, and nobody sends them without end', async () => {
  const mails = mailbox.mails.length
  const statuses: number[] = []
  for (let i = 0; i < 6; i++) {
    statuses.push((await send({ ...asked, slug: `many-${i}`, email: 'Victim@acme.example' })).status)
  }
  expect(statuses).toEqual([202, 202, 202, 429, 429, 429])
  expect(mailbox.mails.length - mails).toBe(3)
  const refused = await send({ ...asked, slug: 'many-7', email: 'victim@acme.example' })
  expect(await refused.text()).toContain('Try again in an hour')
  expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
  for (let i = 0; i < 20; i++) {
    statuses.push((await send({ ...asked, slug: `more-${i}`, email: `someone-${i}@acme.example` })).status)
  }
  expect(statuses.at(-1)).toBe(429)
})

test('an invitation that goes by mail is shown with where it is, and can be taken back', async () => {
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  const body = { role: 'owner' }
  const link = await stack.call<{ url: string }>('/v1/admin-links', { method: 'POST', body })
  await page.goto(link.body.url)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${stack.edge}/admin/demo/`)
  await page.goto('/admin/demo/invitations')
  await page.getByLabel('E-mail address').fill('mate@demo.example')
  await page.getByRole('button', { name: 'Invite' }).click()
  expect(await page.locator('.flash').innerText()).toContain('on its way')
  expect(await page.locator('tbody').innerText()).toMatch(/mate@demo\.example[\s\S]*mail, on its way/)
  expect(await page.locator('#secret').count()).toBe(0)
  await page.getByRole('button', { name: 'Revoke the invitation for mate@demo.example' }).click()
  expect(await page.locator('.flash').innerText()).toContain('was revoked')
  expect(complaints).toEqual([])
  await context.close()
})
