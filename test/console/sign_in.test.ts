// Signing in to the console at an identity provider: a real one, once in a real browser, and then whatever somebody could
// do to what travels between them.
import { type IncomingMessage, request } from 'node:http'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type OidcProvider, startOidcProvider } from '../support/oidc_provider.ts'
import { newPerson, startBrowser } from './browser.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes, each checked where it is used
type Body = any

const CLIENT = { clientId: 'console', clientSecret: 'a-secret-of-the-console' }
const SLUGS = ['acme', 'other', 'strict', 'brief', 'leaving']
/** Of whoever signs in by that name. */
const GROUPS: Readonly<Record<string, ReadonlyArray<string>>> = {
  boss: ['owners'],
  ofmany: [...Array.from({ length: 119 }, (_, i) => `team-${i}`), 'admins'],
  oflong: [
    'admins',
    ...Array.from({ length: 100 }, (_, i) => `CN=team-${i},${'OU=unit,'.repeat(12)}DC=example`),
  ],
  oflarge: ['admins', ...Array.from({ length: 100 }, () => '管'.repeat(200))],
}
const keys = new Map<string, string>()
const providers = new Map<string, string>()
let stack: Stack
let browser: Browser
let issuer: OidcProvider

beforeAll(async () => {
  ;[stack, browser] = await Promise.all([startStack(), startBrowser()])
  const redirects = SLUGS.map((slug) => `${stack.edge}/admin/${slug}/sign-in/callback`)
  issuer = await startOidcProvider(
    redirects.map((redirectUri, i) => ({ ...CLIENT, clientId: `console-${SLUGS[i]}`, redirectUri })),
    (login) => GROUPS[login] ?? [],
  )
  for (const slug of SLUGS) {
    const made = await stack.call<Body>('/platform/v1/tenants', {
      method: 'POST',
      body: { slug, name: slug, region: 'eu', plan: 'team', owner: { email: `o@${slug}.example` } },
    })
    keys.set(slug, made.body.apiKey.key)
    const provider = await stack.call<Body>('/v1/identity-providers', {
      method: 'POST',
      as: keys.get(slug) ?? null,
      body: {
        ...{ name: `Login of ${slug}`, issuer: issuer.issuer, clientId: `console-${slug}` },
        ...{ clientSecret: CLIENT.clientSecret, createMembers: slug !== 'strict', defaultRole: 'viewer' },
        ...{ roleClaim: 'groups', roleMapping: { admins: 'admin', owners: 'owner' } },
      },
    })
    expect([provider.status, provider.body.hasClientSecret]).toEqual([201, true])
    expect(JSON.stringify(provider.body)).not.toContain(CLIENT.clientSecret)
    providers.set(slug, provider.body.id)
  }
})
afterAll(async () => {
  await browser?.close()
  await issuer?.close()
  await stack?.stop()
})

test('a person goes to their provider and comes back into the console', async () => {
  const { page, complaints, context } = await newPerson(browser, stack.edge)
  await page.goto('/admin/acme/agents?project=none&done=created')
  await page.getByRole('link', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Go on with Login of acme' }).click()
  await page.waitForURL(`${issuer.issuer}/**`)
  await page.locator('input[name=login]').fill('ada')
  await page.locator('input[name=password]').fill('anything')
  await page.locator('button[type=submit]').click()
  await page.getByRole('button', { name: /continue/i }).click()
  // They come to the page that they had asked for.
  await page.waitForURL(`${stack.edge}/admin/acme/agents?project=none`)
  expect(await page.locator('.who').innerText()).toContain('viewer')
  const members = await stack.call<Body>('/v1/members', { as: keys.get('acme') ?? null })
  expect(members.body.data.map(({ email }: Body) => email)).toContain('ada@acme.example')
  const audit = await stack.call<Body>('/v1/audit?limit=5', { as: keys.get('acme') ?? null })
  expect(audit.body.data.map(({ action }: Body) => action)).toContain('sessions.sign-in')
  const session = (await context.cookies()).map(({ name }) => name)
  expect(session).toEqual(expect.arrayContaining(['__Host-coditect-t-acme']))
  expect(session.filter(isJourney)).toEqual([])
  // The provider's own pages want a font from elsewhere.
  const ours = complaints.filter(
    (each) => !/googleapis|ERR_NAME_NOT_RESOLVED/.test(each) && !each.includes(issuer.issuer),
  )
  expect(ours).toEqual([])
  await context.close()
})

const isJourney = (cookie: string) => cookie.startsWith('__Host-coditect-sign-in')

/** A browser without a screen: cookies by host, no redirect followed by itself. */
class Client {
  private readonly jar = new Map<string, Map<string, string>>()

  async ask(url: string, form?: Record<string, string>): Promise<Response> {
    const { origin } = new URL(url)
    const cookies = this.cookies(origin)
    const response = await fetch(url, {
      redirect: 'manual',
      method: form === undefined ? 'GET' : 'POST',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), origin },
      ...(form !== undefined && { body: new URLSearchParams(form) }),
    })
    for (const each of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? []
      if (/max-age=0|1970/i.test(each)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return response
  }

  cookies(origin: string): Map<string, string> {
    const cookies = this.jar.get(origin) ?? new Map<string, string>()
    this.jar.set(origin, cookies)
    return cookies
  }

  /** Begins at the console; where the provider is to be gone to. */
  async begin(slug: string, provider = providers.get(slug) ?? '', query = ''): Promise<string> {
    const answer = await this.ask(`${stack.edge}/admin/${slug}/sign-in${query}`, { provider })
    const page = await answer.text()
    return (/content="0; url=([^"]+)"/.exec(page)?.[1] ?? '').replaceAll('&amp;', '&')
  }

  /** Signs in at the provider as `login`; where it sends the browser back to. */
  async authorise(url: string, login: string): Promise<string> {
    let at = url
    for (let hops = 0; hops < 12; hops++) {
      if (at.startsWith(stack.edge)) return at
      const response = await this.ask(at)
      const next = response.headers.get('location')
      if (next !== null) {
        at = new URL(next, at).href
        continue
      }
      const page = await response.text()
      const action = /action="([^"]+)"/.exec(page)?.[1] ?? ''
      const prompt = page.includes('name="login"')
        ? { prompt: 'login', login, password: 'x' }
        : { prompt: 'consent' }
      const answer = await this.ask(new URL(action, at).href, prompt)
      at = new URL(answer.headers.get('location') ?? '', at).href
    }
    throw new Error(`the provider sends in circles: ${at}`)
  }
}

/** One who is about to come back from the provider. */
async function returning(slug: string, login = 'bob'): Promise<{ client: Client; callback: string }> {
  const client = new Client()
  return { client, callback: await client.authorise(await client.begin(slug), login) }
}

test('whoever was led to sign in with another page in mind comes to no other than the console’s own', async () => {
  const client = new Client()
  const url = await client.begin('acme', undefined, '?to=/../../other/')
  const answer = await client.ask(await client.authorise(url, 'bob'))
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/admin/acme/'])
})

test('whose address the provider does not vouch for is shown as the member that they are', async () => {
  const { client, callback } = await returning('acme', 'newcomer')
  await client.ask(callback)
  const page = await (await client.ask(`${stack.edge}/admin/acme/`)).text()
  const [, member] = /class="who"><a href="\/admin\/acme\/members\/(mem_\w+)">/.exec(page) ?? []
  const shown = await client.ask(`${stack.edge}/admin/acme/members/${member}`)
  expect([shown.status, await shown.text()]).toEqual([200, expect.stringContaining('newcomer')])
})

const isIn = (client: Client, slug: string) => client.cookies(stack.edge).has(`__Host-coditect-t-${slug}`)

describe('an answer of the provider', () => {
  test('lets in once, and only the browser that asked', async () => {
    const { client, callback } = await returning('acme')
    const stranger = await new Client().ask(callback)
    expect([stranger.status, await stranger.text()]).toEqual([400, expect.stringContaining('not begun here')])
    const first = await client.ask(callback)
    expect([first.status, first.headers.get('location')]).toEqual([303, '/admin/acme/'])
    expect(isIn(client, 'acme')).toBe(true)
    expect((await client.ask(callback)).status).toBe(400)
    // With the journey's cookie put back, the provider still knows that the code was used.
    const again = new Client()
    const url = await again.begin('acme')
    expect(url).toContain('code_challenge_method=S256')
    const replayed = new URL(callback)
    replayed.searchParams.set('state', new URL(url).searchParams.get('state') ?? '')
    expect((await again.ask(replayed.href)).status).toBe(401)
    expect(isIn(again, 'acme')).toBe(false)
  })

  test('is refused with another state, code or issuer, and for another organisation', async () => {
    const changes: Array<(url: URL) => void> = [
      (url) => url.searchParams.set('state', 'A'.repeat(43)),
      (url) => url.searchParams.delete('state'),
      (url) => url.searchParams.set('code', 'forged'),
      (url) => url.searchParams.delete('code'),
      (url) => url.searchParams.set('iss', 'https://evil.example'),
      (url) => {
        url.pathname = url.pathname.replace('acme', 'other')
      },
    ]
    for (const change of changes) {
      const { client, callback } = await returning('acme')
      const url = new URL(callback)
      change(url)
      const answer = await client.ask(url.href)
      expect([url.search, answer.status]).toEqual([
        url.search,
        expect.toSatisfy((s) => [400, 401].includes(s)),
      ])
      expect(isIn(client, 'acme') || isIn(client, 'other')).toBe(false)
    }
  })

  test('that one person got does not let another in: the code belongs to the browser that began', async () => {
    const victim = new Client()
    const begun = new URL(await victim.begin('acme'))
    const attacker = await returning('acme', 'mallory')
    const planted = new URL(attacker.callback)
    planted.searchParams.set('state', begun.searchParams.get('state') ?? '')
    expect((await victim.ask(planted.href)).status).toBe(401)
    expect(isIn(victim, 'acme')).toBe(false)
  })

  test('that comes to nothing is told as no session that ended, and as no form', async () => {
    const long = await returning('acme')
    const gone = await returning('brief')
    const path = `/v1/identity-providers/${providers.get('brief')}`
    const deleted = await stack.call(path, { method: 'DELETE', as: keys.get('brief') ?? null })
    expect(deleted.status).toBe(204)
    const answers = [
      await long.client.ask(`${long.callback}&more=${'x'.repeat(8_000)}`),
      await gone.client.ask(gone.callback),
    ]
    for (const answer of answers) {
      const page = await answer.text()
      expect([answer.status, page]).toEqual([401, expect.stringContaining('You were not let in')])
      expect(page).toContain('sign_in_failed')
    }
  })

  test('a refusal at the provider, and its silence, are told apart', async () => {
    const client = new Client()
    const begun = new URL(await client.begin('acme'))
    const state = begun.searchParams.get('state') ?? ''
    const denied = await client.ask(
      `${stack.edge}/admin/acme/sign-in/callback?error=access_denied&error_description=%3Cscript%3E&state=${state}&iss=${encodeURIComponent(issuer.issuer)}`,
    )
    expect(denied.status).toBe(401)
    expect(await denied.text()).not.toContain('<script>')
  })
})

describe('sign-ins under way in one browser', () => {
  /** Begun one after another, and come back from the provider in that order. */
  async function underWay(slugs: ReadonlyArray<string>): Promise<{ client: Client; callbacks: string[] }> {
    const client = new Client()
    const urls: string[] = []
    for (const slug of slugs) urls.push(await client.begin(slug))
    const callbacks: string[] = []
    for (const url of urls) callbacks.push(await client.authorise(url, 'bob'))
    return { client, callbacks }
  }
  const journeysOf = (client: Client) => [...client.cookies(stack.edge).keys()].filter(isJourney)

  test('come to their end each by itself, at one organisation and at two', async () => {
    const { client, callbacks } = await underWay(['acme', 'other', 'acme'])
    for (const callback of callbacks) {
      const { status, headers } = await client.ask(callback)
      expect([status, headers.get('location')]).toEqual([
        303,
        new URL(callback).pathname.replace('sign-in/callback', ''),
      ])
    }
    expect(isIn(client, 'acme') && isIn(client, 'other')).toBe(true)
    expect(journeysOf(client)).toEqual([])
  })

  test('are not ended by an answer that was not asked for', async () => {
    const { client, callback } = await returning('acme')
    const state = new URL(callback).searchParams.get('state') ?? ''
    const forged = ['1', `${state.slice(0, -1)}!`].map((each) => callback.replace(state, each))
    for (const url of [...forged, callback.replace('/acme/', '/other/')]) {
      expect((await client.ask(url)).status).toBe(400)
    }
    expect((await client.ask(callback)).status).toBe(303)
  })
})

test('who is no member, and is not to become one, is told so and gets no session', async () => {
  const { client, callback } = await returning('strict', 'nobody')
  const answer = await client.ask(callback)
  const page = await answer.text()
  expect([answer.status, page]).toEqual([403, expect.stringContaining('not a member')])
  expect(page).toContain('href="/admin/strict/sign-in"')
  expect(isIn(client, 'strict')).toBe(false)
})

test.each(Object.keys(GROUPS).filter((login) => login !== 'boss'))(
  'someone %s groups signs in with the role that one of them gives',
  async (login) => {
    const { client, callback } = await returning('other', login)
    const answer = await client.ask(callback)
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/admin/other/'])
    const page = await client.ask(`${stack.edge}/admin/other/`)
    expect(await page.text()).toContain(`${login}@acme.example · admin`)
  },
)

test('a session ends with the membership that it came of', async () => {
  const { client, callback } = await returning('other', 'carol')
  expect((await client.ask(callback)).status).toBe(303)
  expect((await client.ask(`${stack.edge}/admin/other/`)).status).toBe(200)
  const key = keys.get('other') ?? null
  const members = await stack.call<Body>('/v1/members', { as: key })
  const carol = members.body.data.find(({ email }: Body) => email === 'carol@acme.example')
  expect((await stack.call(`/v1/members/${carol.id}`, { method: 'DELETE', as: key })).status).toBe(204)
  expect((await client.ask(`${stack.edge}/admin/other/`)).status).toBe(401)
})

test('who deletes the provider that let them in is told before, and afterwards why they are out', async () => {
  const key = keys.get('leaving') ?? null
  const deleting = `${stack.edge}/admin/leaving/identity-providers/${providers.get('leaving')}/delete`
  const textOf = async (client: Client) => (await (await client.ask(deleting)).text()).replaceAll(/\s+/g, ' ')
  const boss = await returning('leaving', 'boss')
  expect((await boss.client.ask(boss.callback)).status).toBe(303)
  const asked = await textOf(boss.client)
  expect(asked).toContain('Your own session ends with it.')
  // Whoever came in by their link goes with them; whom the organisation made an owner stays, and signs in by it no more.
  const members = await stack.call<Body>('/v1/members', { as: key })
  const made = members.body.data.find(({ email }: Body) => email === 'boss@acme.example')
  const session = (await stack.call<Body>('/v1/sessions', { as: key })).body.data[0]
  expect(session.issuer).toEqual({ kind: 'member', id: made.id })
  const path = `/v1/members/${made.id}`
  const kept = await stack.call(path, { method: 'PATCH', as: key, body: { role: 'owner' } })
  expect(kept.status).toBe(200)
  expect(await textOf(boss.client)).toContain('It is the way that you sign in by.')
  const other = new Client()
  const link = await stack.call<Body>('/v1/admin-links', { method: 'POST', as: key, body: { role: 'owner' } })
  await other.ask(link.body.url, {})
  expect(await textOf(other)).not.toMatch(/Your own session|the way that you sign in by/)

  const second = await returning('leaving', 'ada')
  expect((await second.client.ask(second.callback)).status).toBe(303)
  const [, csrf = ''] = /name="csrf" value="([^"]+)"/.exec(asked) ?? []
  const deleted = await boss.client.ask(deleting, { csrf })
  expect([deleted.status, (await boss.client.ask(deleting)).status]).toEqual([303, 404])
  const out = await second.client.ask(`${stack.edge}/admin/leaving/`)
  const page = await out.text()
  expect([out.status, page]).toEqual([
    401,
    expect.stringContaining('The identity provider that let you in is gone.'),
  ])
  expect(page).not.toContain('no member')
})

test.each(['localhost', 'acme.localhost', 'console.acme.example'])(
  'nobody signs in at another host of the platform, such as %s: they are led to its own',
  async (host) => {
    const { hostname, port } = new URL(stack.edge)
    const ask = (path: string, form?: Record<string, string>): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const type = 'application/x-www-form-urlencoded'
        const asked = request(
          {
            ...{ hostname, port, path, method: form === undefined ? 'GET' : 'POST' },
            headers: { host: `${host}:${port}`, 'sec-fetch-site': 'same-origin', 'content-type': type },
          },
          (answer) => resolve(answer.resume()),
        )
        asked.on('error', reject).end(form && String(new URLSearchParams(form)))
      })
    const forms: Array<[path: string, form: Record<string, string>]> = [
      ['/admin/acme/sign-in?to=%2Fprojects', { provider: providers.get('acme') ?? '' }],
      ['/platform/sign-in', { token: stack.operatorToken }],
    ]
    for (const [path, form] of forms) {
      for (const { statusCode, headers } of [await ask(path), await ask(path, form)]) {
        expect([statusCode, headers.location, headers['set-cookie']]).toEqual([
          303,
          stack.edge + path,
          undefined,
        ])
      }
    }
  },
)

test('an organisation without a sign-in, and none at all, answer alike; a provider of another leads nowhere', async () => {
  const origin = stack.edge
  const form = { method: 'POST', headers: { origin }, body: new URLSearchParams({ provider: 'idp_x' }) }
  const asked: Array<[slug: string, request: RequestInit]> = [
    ['no-such-one', {}],
    ['demo', {}],
    ['no-such-one', form],
    ['demo', form],
    ['acme', form],
  ]
  const pages = await Promise.all(
    asked.map(async ([slug, request]) => {
      const answer = await fetch(`${stack.edge}/admin/${slug}/sign-in`, request)
      return [
        answer.status,
        (await answer.text())
          .replaceAll(slug, '')
          .replaceAll(/nonce-?[^"']*|-\/[^/]+\//g, '')
          // Of a form, whichever organisation it names.
          .replace('<title>Nothing was done · ', '<title>'),
      ]
    }),
  )
  for (const page of pages) expect(page).toEqual(pages[0])
  expect(pages[0]).toEqual([404, expect.not.stringContaining('/sign-up')])
  const client = new Client()
  expect(await client.begin('other', providers.get('acme'))).toBe('')
  const forge = async () => {
    const forged = await fetch(`${stack.edge}/admin/acme/sign-in`, {
      method: 'POST',
      headers: { origin: 'https://evil.example' },
      body: new URLSearchParams({ provider: providers.get('acme') ?? '' }),
    })
    return forged.status
  }
  // This address may have had all the pages for strangers that it gets at once.
  await expect.poll(forge, { timeout: 5_000 }).toBe(403)
})

test('whoever tries names at the sign-in is held up alike, whether one is an organisation’s or none', async () => {
  const own = await startStack({ FAILURE_LIMIT: JSON.stringify({ rate: 0.001, burst: 4 }) })
  try {
    const asked = ['demo', 'no-such-one', 'demo', 'demo', 'demo'].map((slug) => `/admin/${slug}/sign-in`)
    const statuses: number[] = []
    for (const path of asked) statuses.push((await fetch(own.edge + path)).status)
    expect(statuses).toEqual([404, 404, 404, 404, 429])
  } finally {
    await own.stop()
  }
})
