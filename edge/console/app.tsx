// The console: the tenant admin's pages, rendered here. Everything that a page shows or changes, it asks of the API as
// the session; what stands here is who is there (the cookie), that a form is the console's own, and the frame.
import { type Context, Hono } from 'hono'
import { csrf } from 'hono/csrf'
import { createMiddleware } from 'hono/factory'
import { HTTPException } from 'hono/http-exception'
import type { Child } from 'hono/jsx'
import { ENTER_PATH } from '../../shared/admin_link.ts'
import { PROBLEMS, Problem } from '../../shared/problems.ts'
import { allows } from '../../shared/scopes.ts'
import { SIGN_UP_PAGE } from '../../shared/sign_up.ts'
import { SLUG } from '../../shared/tenant.ts'
import { targetOf } from '../target.ts'
import { Api, type Refused } from './api.ts'
import { dropSessionCookie, readSessionCookie } from './cookie.ts'
import { csrfTokenOf, isOwn, type SentForm, strangersForm, withForm } from './csrf.ts'
import { entering } from './enter.tsx'
import { ERASURE_PAGE, erasures } from './erasure.tsx'
import { identifySession } from './identity.ts'
import { inviting } from './invitation.tsx'
import { comingFrom } from './landing.ts'
import { operatorPages } from './operator/app.tsx'
import { type OwnersWay, ownersWay } from './owners_way.tsx'
import { MENU, PAGES } from './pages/index.ts'
import type { ConsolePage } from './pages/page.ts'
import { Alone, Frame } from './parts/layout.tsx'
import { whoOf } from './parts/who.tsx'
import {
  Advice,
  foreignForm,
  isMendable,
  Sent,
  type Show,
  sayWhen,
  showing,
  showRefusal,
  Typed,
} from './respond.tsx'
import { SIGN_IN_PAGE, signingIn } from './sign_in.tsx'
import { signingUp } from './sign_up.tsx'
import { Consoles, starting } from './start.tsx'
import { STATIC, staticFiles } from './static_files.ts'
import { type ConsoleDependencies, type ConsoleTypes, field, type Presence } from './visit.ts'
import { admittingVisits } from './visits.ts'

export { createDocs } from './docs/app.tsx'

export async function createConsole(dependencies: ConsoleDependencies): Promise<Hono<ConsoleTypes>> {
  const { config } = dependencies
  const { assets, serve } = await staticFiles()
  const show = showing(assets)
  const ways = waysIn(ownersWay(dependencies))
  const app = new Hono<ConsoleTypes>({ getPath: (request) => targetOf(request.url).path })

  // Before the slug is looked at, of which a refusal is to say nothing.
  const visitor = admittingVisits(dependencies.now)
  for (const page of [ERASURE_PAGE, SIGN_UP_PAGE, SIGN_IN_PAGE]) app.use(`${page}/*`, visitor)
  app.route('/', erasures(dependencies, show))
  app.route('/', starting(show, assets.icon, ways.owners))
  app.get(`${STATIC}/*`, (c) => serve(c.req.path, c.req.raw) ?? nothing(c, show))
  // Before anything else looks at a form: it has to come from this very origin.
  app.use(fromHere(config.publicOrigin))
  app.route('/', operatorPages(dependencies, show))
  app.route('/', entering(dependencies, show, ways.owners))
  app.route('/', inviting(dependencies, show))
  app.route('/', signingUp(dependencies, show))
  app.route('/', signingIn(dependencies, show, ways.owners))
  app.get('/admin/:slug{[a-z0-9-]+}', (c) => c.redirect(`/admin/${c.req.param('slug')}/`, 308))
  // A form is read before anybody is asked who sent it, so that what was typed is not lost with the session.
  app.use('/admin/:slug/*', recognising(dependencies, show, ways), checkingForms(dependencies, show))
  // This browser is out of the session whatever its region says of that.
  app.post('/admin/:slug/sign-out', async (c) => {
    const answer = await seemingApi(c, dependencies).delete('/console/v1/session')
    dropSessionCookie(c, c.var.seeming.slug)
    return signedOut(c, show, await ways.at(c), answer.ok || answer.status === 401)
  })
  app.use('/admin/:slug/*', visiting(dependencies, show, ways))
  for (const page of PAGES) {
    const routes = new Hono<ConsoleTypes>()
    routes.use(framing(page, show))
    page.routes(routes)
    app.route(`/admin/:slug/${page.path}`, routes)
  }
  app.notFound((c) => nothing(c, show))
  app.onError((error, c) => {
    if (error instanceof HTTPException) return foreignForm(c, show)
    if (error instanceof Problem) return refuse(c, show, refusedBy(error))
    console.error(error)
    return refuse(c, show, refusedBy(new Problem('internal', 'The page failed. Load it again.')))
  })
  return app
}

/**
 * Hono's check of where a form comes from. Every browser says so with a form; what says nothing of it is none, and
 * nobody is tricked into entering by it: whoever sends it has the link.
 */
function fromHere(publicOrigin: string) {
  const check = csrf({ origin: publicOrigin })
  return createMiddleware(async function fromHere(c, next) {
    const { headers } = c.req.raw
    const noBrowser = !headers.has('origin') && !headers.has('sec-fetch-site')
    return noBrowser && c.req.path === ENTER_PATH ? next() : check(c, next)
  })
}

/** Whose session it seems to be: the cookie of the tenant in the path, as far as it says so itself. */
const recognising = ({ config, noteInvalid, withBody }: ConsoleDependencies, show: Show, ways: WaysIn) =>
  createMiddleware<ConsoleTypes>(async function recognising(c, next) {
    const slug = c.req.param('slug') ?? ''
    if (!SLUG.test(slug)) return nothing(c, show)
    const cookie = readSessionCookie(c, slug)
    const identity = cookie === undefined ? undefined : await identifySession(cookie, config.roots)
    if (cookie === undefined || identity === undefined) {
      if (cookie !== undefined) {
        noteInvalid(c.req.raw)
        dropSessionCookie(c, slug)
      }
      return notSignedIn(c, show, await ways.at(c), await strangersForm(c, withBody))
    }
    c.set('seeming', { slug, identity, csrf: await csrfTokenOf(cookie) })
    await next()
  })

/** A request that changes something is a form of this very session's, or nothing. */
const checkingForms = ({ withBody }: ConsoleDependencies, show: Show) =>
  createMiddleware<ConsoleTypes>(async function checkingForms(c, next) {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    if (c.req.method !== 'POST') return nothing(c, show, 405)
    const { csrf, identity } = c.var.seeming
    return withForm(c, { withBody, owner: identity.principal.tenant }, async (form) => {
      if (form === undefined || !isOwn(form, csrf)) return foreignForm(c, show, form)
      c.set('form', form)
      await next()
    })
  })

/** The API as whoever it seems to be. */
function seemingApi(c: Context<ConsoleTypes>, { config, inside }: ConsoleDependencies): Api {
  const { slug, identity } = c.var.seeming
  const { publicOrigin } = config
  const form: FormData | undefined = c.get('form')
  const once = form && field(form, 'once')
  return new Api(inside, identity, c.req.raw, { publicOrigin, slug, once })
}

/** Who is there: the session, as its region reads it now. */
const visiting = (dependencies: ConsoleDependencies, show: Show, ways: WaysIn) =>
  createMiddleware<ConsoleTypes>(async function visiting(c, next) {
    const { slug, csrf } = c.var.seeming
    const form = c.get('form')
    const api = seemingApi(c, dependencies)
    const answer = await api.get<Presence>('/console/v1/session')
    if (!answer.ok) {
      const isOver = answer.status === 401
      if (isOver) dropSessionCookie(c, slug)
      return refuse(
        c,
        show,
        answer,
        <>
          {isOver && (await ways.at(c))}
          <Sent refused={answer} form={form} action={c.req.path} />
        </>,
      )
    }
    c.set('visit', { ...answer.body, api, base: `/admin/${slug}`, csrf })
    await next()
  })

/** What a page answers with. */
const framing = (page: ConsolePage, show: Show) =>
  createMiddleware<ConsoleTypes>(async function framing(c, next) {
    const { visit } = c.var
    const { organisation, base } = visit
    const word = c.req.query('done') ?? ''
    const messages = page.messages ?? {}
    const flash = Object.hasOwn(messages, word) ? messages[word] : undefined
    const { displayName, logoUrl } = organisation.customisation
    const name = displayName ?? organisation.name
    const menu = MENU.map(({ title, pages }) => ({
      title,
      links: pages
        .filter(({ scope }) => allows(visit.scopes, scope))
        .map(({ path, title }) => ({ href: `${base}/${path}`, title, current: path === page.path })),
    }))
    const self = `${base}/${page.path}`
    c.set('page', (body, { title = page.title, status, live = false, above = [] } = {}) =>
      show(c, {
        title: `${title} · ${name}`,
        status: status ?? c.var.problem?.status ?? 200,
        live,
        customisation: organisation.customisation,
        body: (
          <Frame
            {...{ owner: visit, base, name: 'Console', title, flash, menu }}
            brand={
              <>
                {logoUrl && <img src={logoUrl} alt="" />}
                {name}
              </>
            }
            who={
              <>
                {whoOf(visit, visit.session)} · {visit.session.role}
              </>
            }
            above={c.req.path === self ? [] : [{ href: self, title: page.title }, ...above]}
          >
            {body}
          </Frame>
        ),
      }),
    )
    c.set('refuse', (refused) => {
      sayWhen(c, refused)
      return c.var.page(
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
    c.set('done', (path, done) =>
      c.redirect(`${base}/${path}${path.includes('?') ? '&' : '?'}done=${done}`, 303),
    )
    await next()
  })

const refusedBy = ({ code, detail, extras }: Problem): Refused => ({
  ok: false,
  status: PROBLEMS[code].status,
  problem: { type: '', ...PROBLEMS[code], detail, code, requestId: '' },
  retryAfter: extras.headers?.['retry-after'],
})

const refuse = (c: Context, show: Show, refused: Refused, next?: Child) =>
  showRefusal(c, show, refused.problem.title, refused, { next })

interface WaysIn {
  owners: OwnersWay
  /** Into the organisation that the path names. */
  at: (c: Context) => Promise<Child>
}

const waysIn = (owners: OwnersWay): WaysIn => ({
  owners,
  at: async (c) => {
    const slug = c.req.param('slug') ?? ''
    return (
      <>
        <p>
          <a class="button" href={`/admin/${slug}/sign-in${comingFrom(c, slug)}`}>
            Sign in
          </a>
        </p>
        {await owners(c)}
      </>
    )
  },
})

const nothing = (c: Context, show: Show, status = 404) =>
  show(c, {
    title: 'Nothing here',
    status,
    body: (
      <Alone title="There is no such page">
        <p>Look at the address again, or go back to where you came from.</p>
        {c.req.path.startsWith('/platform/') ? (
          <p>
            <a class="button" href="/platform/">
              To the operators’ pages
            </a>
          </p>
        ) : (
          <>
            <Consoles c={c} />
            <p>
              <a href="/">To the start</a>
            </p>
          </>
        )}
      </Alone>
    ),
  })

const notSignedIn = (c: Context, show: Show, ways: Child, form: SentForm) =>
  show(c, {
    title: 'Sign in',
    status: 401,
    body: (
      <Alone title="You are not signed in here">
        {ways}
        <p>Or ask an owner or administrator of the organisation for a link into its console.</p>
        <Typed form={form} />
      </Alone>
    ),
  })

/** @param ended whether the region says so, too */
const signedOut = (c: Context, show: Show, ways: Child, ended: boolean) =>
  show(c, {
    title: 'Signed out',
    body: (
      <Alone title="You are signed out">
        {!ended && (
          <p class="notice bad" role="status">
            This browser has forgotten the session. The organisation’s region has not ended it: it may live on
            for the half hour that a session lives unused. An administrator can end it at once, under
            Sessions.
          </p>
        )}
        {ways}
        <p>Or ask an administrator for a new link into the console.</p>
      </Alone>
    ),
  })
