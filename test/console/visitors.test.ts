// Strangers at the console's doors: what they ask costs regions no more than so much, and says nothing of who is there.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'

const SLUG = 'here-in-eu'
let stack: Stack
beforeAll(async () => {
  stack = await startStack({ SIGNUP: 'open', SMTP_URL: 'smtp://127.0.0.1:1', MAIL_FROM: 'a@b.example' })
  const body = { slug: SLUG, name: SLUG, region: 'eu', plan: 'team', owner: { email: 'o@here.example' } }
  await stack.call('/platform/v1/tenants', { method: 'POST', body })
})
afterAll(() => stack.stop())

const visit = (path: string, init: RequestInit = {}) =>
  fetch(`${stack.edge}${path}`, { headers: { origin: stack.edge }, redirect: 'manual', ...init })
const signIn = (slug: string) => visit(`/admin/${slug}/sign-in`)

test('a form of a stranger’s has a few short fields', async () => {
  for (const path of ['/sign-up', `/admin/${SLUG}/sign-in`, '/platform/sign-in']) {
    const body = new URLSearchParams({ name: 'x'.repeat(5_000) })
    const answer = await visit(path, { method: 'POST', body })
    expect([answer.status, answer.headers.get('content-type')?.split(';')[0]]).toEqual([413, 'text/html'])
    expect(await answer.text()).toContain('it may have 4 KiB')
  }
  const short = await visit('/sign-up', {
    method: 'POST',
    body: new URLSearchParams({ name: 'x'.repeat(300) }),
  })
  expect(short.status).toBe(422)
})

test('what a stranger sends to any other page is shown to them once more where it is short, and not read where it is long', async () => {
  for (const path of [`/admin/${SLUG}/projects`, '/admin/nobody/anything', '/platform/tenants']) {
    const send = async (body: URLSearchParams) => {
      const answer = await visit(path, { method: 'POST', body })
      return [answer.status, await answer.text()] as const
    }
    const [status, page] = await send(new URLSearchParams({ name: 'Typed long ago' }))
    expect([status, page]).toEqual([401, expect.stringMatching(/What you sent[\s\S]*Typed long ago/)])
    for (const long of ['a=b&'.repeat(1_500), 'a=b&'.repeat(500_000)]) {
      const [status, page] = await send(new URLSearchParams(long))
      expect([status, page.slice(0, 5_000)]).toEqual([401, expect.stringContaining('too long to be shown')])
      expect(page.length).toBeLessThan(5_000)
    }
    // As many as fit into what is read.
    const [, ofMany] = await send(new URLSearchParams('a=b&'.repeat(1_000)))
    expect(ofMany).toContain('too long to be shown')
  }
})

test('where the organisation’s region does not answer, the page says so, and when to come again', async () => {
  expect((await signIn(SLUG)).status).toBe(404)
  await stack.kill('eu')
  const answer = await signIn(SLUG)
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)])
  expect(await answer.text()).toContain('region does not answer')
  await stack.back('eu')
})

/** How many requests a region has answered. */
async function answered(region: 'us' | 'eu'): Promise<number> {
  const text = await (await fetch(`${stack.regions[region]}/metrics`)).text()
  const counts = text.matchAll(/^coditect_request_duration_seconds_count\S* (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

test('an address that keeps knocking is told to come again, on a page, and no region is asked for it', async () => {
  const before = await answered('eu')
  const answers = await Promise.all(Array.from({ length: 200 }, () => signIn(SLUG)))
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused.length).toBeGreaterThan(50)
  expect(await answered('eu')).toBeLessThanOrEqual(before + 200 - refused.length)
  const [first] = refused
  expect(first?.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(first?.headers.get('x-request-id')).toMatch(/^req_/)
  expect(await first?.text()).toContain('<h1>Too many requests</h1>')
  // Whether there is such an organisation, nobody learns by it; and it is the same at every such door.
  const paths = [
    '/sign-up',
    '/sign-up/confirm?token=x',
    '/admin/nobody/sign-in',
    '/admin/nobody/sign-in/callback',
  ]
  const afterOthers = async (path: string) => {
    const [answer] = await Promise.all([visit(path), ...Array.from({ length: 30 }, () => signIn(SLUG))])
    return answer?.status
  }
  for (const path of paths) await expect.poll(() => afterOthers(path)).toBe(429)
  // Whoever has a credential goes on.
  expect((await stack.call('/v1/projects')).status).toBe(200)
})
