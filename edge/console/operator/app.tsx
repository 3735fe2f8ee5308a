// The operator's pages, /platform/: the tenants of this deployment. A token pasted once becomes a session of an hour;
// what the pages show and change, they ask of /platform/v1, as that operator.
import { type Context, Hono } from 'hono'
import { deleteCookie, setCookie } from 'hono/cookie'
import { createMiddleware } from 'hono/factory'
import { identifyOperator } from '../../identify/operator_token.ts'
import { Api } from '../api.ts'
import { readCookie } from '../cookie.ts'
import { csrfTokenOf, isOwn, readForm, type SentForm, strangersForm, withForm } from '../csrf.ts'
import { atHome } from '../home.ts'
import { Field } from '../parts/form.tsx'
import { Alone, Frame } from '../parts/layout.tsx'
import { Advice, foreignForm, isMendable, Sent, type Show, sayWhen, Typed } from '../respond.tsx'
import { type ConsoleDependencies, field } from '../visit.ts'
import { noisyPages } from './noisy.tsx'
import { regionPages } from './regions.tsx'
import { identifyOperatorSession, mintOperatorSession, OPERATOR_SESSION_MS } from './session.ts'
import { tenantPages } from './tenants.tsx'
import { BASE, type OperatorTypes, type OperatorVisit } from './visit.ts'

const COOKIE = '__Host-coditect-operator'
const ATTRIBUTES = { path: '/', secure: true, httpOnly: true, sameSite: 'Strict' } as const

export function operatorPages(dependencies: ConsoleDependencies, show: Show): Hono<OperatorTypes> {
  const { config, withBody, noteInvalid, now } = dependencies
  const app = new Hono<OperatorTypes>()

  app.get(BASE, (c) => c.redirect(`${BASE}/`, 308))
  app.use(`${BASE}/sign-in`, atHome(config.publicOrigin))
  app.get(`${BASE}/sign-in`, (c) => signInPage(c, show))
  app.post(`${BASE}/sign-in`, async (c) => {
    const token = (await readForm(c, withBody))?.get('token')
    const identity =
      typeof token === 'string' ? await identifyOperator(token.trim(), config.operators) : undefined
    if (identity === undefined) {
      noteInvalid(c.req.raw)
      return signInPage(c, show, {
        status: 401,
        error: 'This is no operator token of this deployment.',
      })
    }
    const session = await mintOperatorSession(identity, config.roots, now())
    setCookie(c, COOKIE, session, { ...ATTRIBUTES, maxAge: OPERATOR_SESSION_MS / 1000 })
    return c.redirect(`${BASE}/`, 303)
  })
  const inside = new Hono<OperatorTypes>()
  inside.use(visiting(dependencies, show))
  inside.post('/sign-out', (c) => {
    deleteCookie(c, COOKIE, ATTRIBUTES)
    return c.redirect(`${BASE}/sign-in`, 303)
  })
  tenantPages(inside)
  regionPages(inside)
  noisyPages(inside)
  app.route(`${BASE}/`, inside)
  return app
}

const visiting = ({ config, inside, withBody, now }: ConsoleDependencies, show: Show) =>
  createMiddleware<OperatorTypes>(async function visiting(c, next) {
    const cookie = readCookie(c, COOKIE)
    const identity =
      cookie === undefined
        ? undefined
        : await identifyOperatorSession(cookie, config.operators, config.roots, now())
    if (cookie === undefined || identity === undefined) {
      if (c.req.method === 'POST') {
        return signInPage(c, show, { status: 401, form: await strangersForm(c, withBody) })
      }
      // A part of a page that renews itself would be given the page behind the redirect.
      return c.req.header('hx-request')
        ? signInPage(c, show, { status: 401 })
        : c.redirect(`${BASE}/sign-in`, 303)
    }
    const { publicOrigin, regions } = config
    const { operatorId, role } = identity.principal
    const visit: OperatorVisit = {
      operatorId,
      role,
      api: new Api(inside, identity, c.req.raw, { publicOrigin }),
      csrf: await csrfTokenOf(cookie),
      regions: [...regions.keys()],
    }
    c.set('visit', visit)
    c.set('page', (title, body, { status, flash, live = false } = {}) =>
      show(c, {
        title: `${title} · Platform`,
        status: status ?? c.var.problem?.status ?? 200,
        live,
        body: (
          <Frame
            {...{ owner: visit, base: BASE, name: 'Platform', brand: 'Platform', title, flash }}
            who={`${visit.operatorId} · ${visit.role}`}
            menu={[{ title: '', links: menuAt(c.req.path) }]}
            above={c.req.path.startsWith(`${BASE}/tenants/`) ? [{ href: `${BASE}/`, title: 'Tenants' }] : []}
          >
            {body}
          </Frame>
        ),
      }),
    )
    c.set('refuse', (refused) => {
      sayWhen(c, refused)
      return c.var.page(
        refused.problem.title,
        <>
          <Advice refused={refused} first={c.req.method === 'POST'} />
          <Sent refused={refused} form={c.get('form')} action={c.req.path} />
        </>,
        { status: refused.status },
      )
    })
    c.set('again', (refused, draw) => {
      if (!isMendable(refused)) return c.var.refuse(refused)
      sayWhen(c, refused)
      c.set('problem', refused.problem)
      if (refused.problem.code === 'conflict') c.set('visit', { ...visit, once: field(c.var.form, 'once') })
      return draw()
    })
    if (c.req.method !== 'POST') return next()
    return withForm(c, { withBody, owner: 'operator' }, async (form) => {
      if (form === undefined || !isOwn(form, visit.csrf)) return foreignForm(c, show, form)
      c.set('form', form)
      await next()
    })
  })

const MENU = [
  { href: `${BASE}/`, title: 'Tenants' },
  { href: `${BASE}/regions`, title: 'Regions' },
  { href: `${BASE}/noisy`, title: 'Noisy tenants' },
] as const

const menuAt = (path: string) => MENU.map((link) => ({ ...link, current: link.href === path }))

interface SignInShown {
  status?: number
  error?: string
  /** What was sent when the session was over. */
  form?: SentForm
}

const signInPage = (c: Context, show: Show, { status = 200, error, form }: SignInShown = {}) =>
  show(c, {
    title: 'Operators',
    status,
    body: (
      <Alone title="For operators of this platform">
        <form class="stack" method="post" action={`${BASE}/sign-in`}>
          <Field
            name="token"
            label="Operator token"
            hint="It begins with co_. You are then signed in for an hour."
            type="password"
            autocomplete="off"
            error={error}
            required
          />
          <button type="submit">Sign in</button>
        </form>
        <Typed form={form} />
      </Alone>
    ),
  })
