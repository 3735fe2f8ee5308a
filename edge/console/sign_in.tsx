// Signing in at an identity provider of the organisation's own. What ties the provider's answer to this browser (state,
// nonce, PKCE) is in a cookie of ten minutes, one for each sign-in; the region speaks to the provider, and then the session
// begins in a transaction that reads whether the person is a member.
import { type Context, Hono } from 'hono'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { mintSession } from '../../shared/credentials/session_token.ts'
import type { TenantPlace } from '../../shared/edge_calls.ts'
import { newId } from '../../shared/ids.ts'
import type { JwtPrincipal } from '../../shared/principal.ts'
import {
  type SignedInPerson,
  type SignInBegin,
  type SignInFinish,
  type SignInOffer,
  signInCall,
} from '../../shared/sign_in.ts'
import { SLUG } from '../../shared/tenant.ts'
import { unavailable } from '../forward/ask_instances.ts'
import { Api, type Refused } from './api.ts'
import { setSessionCookie } from './cookie.ts'
import { readForm } from './csrf.ts'
import { atHome } from './home.ts'
import { VISITOR } from './identity.ts'
import { endJourney, journeyOf, keepJourney } from './journey.ts'
import { goingTo, landing } from './landing.ts'
import type { OwnersWay } from './owners_way.tsx'
import { Alone } from './parts/layout.tsx'
import { type Show, showRefusal } from './respond.tsx'
import type { ConsoleDependencies } from './visit.ts'

export const SIGN_IN_PAGE = '/admin/:slug{[a-z0-9-]+}/sign-in'

export function signingIn(
  { config, inside, withBody, noteInvalid, placeOf }: ConsoleDependencies,
  show: Show,
  owners: OwnersWay,
): Hono {
  const app = new Hono()
  const { publicOrigin, roots } = config

  const apiOf = (c: Context, { region }: TenantPlace) =>
    new Api(inside, { ...VISITOR, home: region }, c.req.raw, {
      publicOrigin,
    })

  /**
   * @returns undefined when it is no organisation's slug
   * @throws {Problem} `region_unavailable` when nobody can tell
   */
  async function placeIn(c: Context): Promise<{ slug: string; place: TenantPlace } | undefined> {
    const slug = c.req.param('slug') ?? ''
    const place = SLUG.test(slug) ? await placeOf(slug, c.req.raw) : undefined
    if (place?.outcome === 'unavailable') throw unavailable(config.controlRegion.name, 'Nothing was done.')
    return place?.outcome === 'had' ? { slug, place: place.value } : undefined
  }

  app.use(SIGN_IN_PAGE, atHome(publicOrigin))
  app.get(SIGN_IN_PAGE, async (c) => {
    const at = await placeIn(c)
    const answer = at && (await apiOf(c, at.place).get<SignInOffer>(signInCall(at.place.number)))
    if (answer?.ok === false && answer.status >= 500) return refusal(c, answer)
    const providers = answer?.ok ? answer.body.providers : []
    return providers.length === 0 ? noSignIn(c) : choice(c, c.req.param('slug'), providers)
  })

  app.post(SIGN_IN_PAGE, async (c) => {
    const at = await placeIn(c)
    const provider = (await readForm(c, withBody))?.get('provider')
    if (at === undefined || typeof provider !== 'string') return noSignIn(c)
    const { slug, place } = at
    const secret = () => toBase64url(randomBytes(32))
    const journey: SignInBegin = {
      ...{ provider, state: secret(), nonce: secret(), verifier: secret() },
      redirectUri: `${publicOrigin}/admin/${slug}/sign-in/callback`,
    }
    const begin = signInCall(place.number, 'begin')
    const answer = await apiOf(c, place).post<{ url: string }>(begin, { body: journey })
    if (!answer.ok) return answer.problem.code === 'not_found' ? noSignIn(c) : refusal(c, answer)
    keepJourney(c, slug, { ...journey, to: goingTo(c) })
    // A page, because a form's answer may lead to this origin alone (`form-action`).
    return leaving(c, answer.body.url)
  })

  app.get(`${SIGN_IN_PAGE}/callback`, async (c) => {
    const at = await placeIn(c)
    const journey = at && journeyOf(c, at.slug, c.req.query('state') ?? '')
    if (at === undefined || journey === undefined) return notOurs(c)
    const { slug, place } = at
    endJourney(c, slug, journey)
    const { to, ...begun } = journey
    const body = { ...begun, answer: new URL(c.req.url).search } satisfies SignInFinish
    const person = await apiOf(c, place).post<SignedInPerson>(signInCall(place.number, 'finish'), { body })
    if (!person.ok) return refusal(c, notLetIn(person))
    const sessionId = newId('ses')
    const session = await mintSession({ tenant: place.number, region: place.region, sessionId }, roots)
    const principal: JwtPrincipal = { kind: 'jwt', tenant: place.number, ...person.body }
    const identity = { kind: 'jwt' as const, principal, home: place.region }
    const userAgent = c.req.header('user-agent')?.slice(0, 300) ?? null
    const api = new Api(inside, identity, c.req.raw, { publicOrigin, slug })
    const { email = null } = principal
    const begins = { id: sessionId, secretHash: session.secretHash, userAgent, email }
    const answer = await api.post('/console/v1/sign-in', { body: begins, idempotencyKey: sessionId })
    if (!answer.ok) return refusal(c, notLetIn(answer))
    setSessionCookie(c, slug, session.text)
    return c.redirect(landing(slug, to ?? '', publicOrigin), 303)
  })

  /** Who names no organisation, and who names one without this provider, are told the same, and counted alike. */
  async function noSignIn(c: Context) {
    noteInvalid(c.req.raw)
    return show(c, {
      title: 'Sign in',
      status: 404,
      body: (
        <Alone title="There is no sign-in here">
          <Otherwise />
          {await owners(c)}
        </Alone>
      ),
    })
  }

  const choice = async (c: Context, slug: string, providers: SignInOffer['providers']) =>
    show(c, {
      title: 'Sign in',
      body: (
        <Alone title={`Sign in to ${slug}`}>
          {providers.map(({ id, name }) => (
            <form method="post">
              <input type="hidden" name="provider" value={id} />
              <button type="submit">Go on with {name}</button>
            </form>
          ))}
          <Otherwise />
          {await owners(c)}
        </Alone>
      ),
    })

  const leaving = (c: Context, url: string) =>
    show(c, {
      title: 'Sign in',
      refresh: url,
      body: (
        <Alone title="On to your identity provider">
          <p>
            <a class="button" href={url} rel="noreferrer">
              Go on
            </a>
          </p>
        </Alone>
      ),
    })

  const refusal = (c: Context, refused: Refused) =>
    showRefusal(c, show, 'Not signed in', refused, { next: <Again slug={c.req.param('slug') ?? ''} /> })

  function notOurs(c: Context) {
    noteInvalid(c.req.raw)
    return show(c, {
      title: 'Not signed in',
      status: 400,
      body: (
        <Alone title="This sign-in was not begun here">
          <p>It took longer than ten minutes, was used before, or was begun in another browser.</p>
          <Again slug={c.req.param('slug') ?? ''} />
        </Alone>
      ),
    })
  }

  return app
}

/** Whoever comes back had no session that could have ended, and filled in no form that could be wrong. */
const notLetIn = (refused: Refused): Refused =>
  [401, 404, 422].includes(refused.status)
    ? { ...refused, status: 401, problem: { ...refused.problem, code: 'sign_in_failed' } }
    : refused

const Otherwise = () => (
  <p class="quiet">An administrator of the organisation can give you a link into its console, too.</p>
)

const Again = ({ slug }: { slug: string }) => (
  <p>
    <a class="button" href={`/admin/${slug}/sign-in`}>
      Sign in again
    </a>
  </p>
)
