// Where a stranger makes an organisation, if the platform is open for that. The address is confirmed by a letter; its link
// shows what will be made and makes nothing by itself, since mail scanners open links.
import { type Context, Hono } from 'hono'
import type { Child } from 'hono/jsx'
import {
  CONFIRM_PAGE,
  LINK_PAGE,
  type LinkRequest,
  SIGN_UP_CALL,
  SIGN_UP_PAGE,
  type SignedUp,
  type SignUpOffer,
  type SignUpRequest,
  type SignUpShown,
} from '../../shared/sign_up.ts'
import { Api, type Refused } from './api.ts'
import { readForm } from './csrf.ts'
import { VISITOR } from './identity.ts'
import { errorAt, Field, Select } from './parts/form.tsx'
import { Alone } from './parts/layout.tsx'
import { Advice, Sent, type Show, sayWhen, showRefusal, wordsOf } from './respond.tsx'
import { type ConsoleDependencies, field } from './visit.ts'

/** What came of a form. */
interface Lost {
  refused: Refused
  sent: FormData
}

/** What was wrong with what was asked for. */
interface Wrong extends Lost {
  given: SignUpRequest
}

type FormBody = (errorOf: (field: string) => string | undefined, offer: SignUpOffer) => Child

interface WrongLink extends Lost {
  given: LinkRequest
}

export function signingUp({ config, inside, withBody }: ConsoleDependencies, show: Show): Hono {
  const app = new Hono()
  const { publicOrigin } = config
  const apiFor = (c: Context) => new Api(inside, VISITOR, c.req.raw, { publicOrigin })

  app.get(SIGN_UP_PAGE, (c) => form(c))
  app.post(SIGN_UP_PAGE, async (c) => {
    const sent = (await readForm(c, withBody)) ?? new FormData()
    const [slug, name] = [field(sent, 'slug'), field(sent, 'name')]
    const given = { slug, name, email: field(sent, 'email'), region: field(sent, 'region') }
    const answer = await apiFor(c).post(SIGN_UP_CALL, { body: given })
    return answer.ok ? sentTo(c, given.email) : form(c, { refused: answer, given, sent })
  })
  app.get(LINK_PAGE, (c) => linkForm(c))
  app.post(LINK_PAGE, async (c) => {
    const sent = (await readForm(c, withBody)) ?? new FormData()
    const given = { slug: field(sent, 'slug'), email: field(sent, 'email') }
    const answer = await apiFor(c).post(`${SIGN_UP_CALL}/link`, { body: given })
    return answer.ok ? linkSentTo(c, given) : linkForm(c, { refused: answer, given, sent })
  })
  app.get(CONFIRM_PAGE, async (c) => {
    const token = c.req.query('token') ?? ''
    const answer = await apiFor(c).post<SignUpShown>(`${SIGN_UP_CALL}/read`, { body: { token } })
    return answer.ok ? confirmation(c, answer.body) : refusal(c, answer, <SignUp />)
  })
  app.post(CONFIRM_PAGE, async (c) => {
    const token = c.req.query('token') ?? ''
    const answer = await apiFor(c).post<SignedUp>(`${SIGN_UP_CALL}/confirm`, { body: { token } })
    return answer.ok ? c.redirect(answer.body.adminLink, 303) : refusal(c, answer, <SignUp />)
  })

  /** A page with a form of strangers', where the platform is open for them. */
  async function formPage(c: Context, title: string, lost: Lost | undefined, body: FormBody) {
    const refused = lost?.refused
    const offer = await apiFor(c).get<SignUpOffer>(SIGN_UP_CALL)
    if (!offer.ok)
      return refusal(c, offer, lost && <Sent refused={offer} form={lost.sent} action={c.req.path} />)
    if (!offer.body.open) return closed(c)
    if (refused) sayWhen(c, refused)
    const errorOf = (name: string) => errorAt(refused?.problem, `/${name}`)
    return show(c, { title, status: refused?.status ?? 200, body: body(errorOf, offer.body) })
  }

  function form(c: Context, wrong?: Wrong) {
    const { refused, given } = wrong ?? {}
    const taken = refused?.problem.code === 'slug_taken' ? refused.problem.detail : undefined
    const isOfAField = taken !== undefined || refused?.problem.errors !== undefined
    return formPage(c, 'Sign up', wrong, (errorOf, { regions }) => (
      <Alone title="Create an organisation">
        {refused && !isOfAField && <Advice refused={refused} said={saidOf(refused)} first />}
        <form class="stack" method="post" action={SIGN_UP_PAGE}>
          <Field
            name="name"
            label="Name"
            value={given?.name}
            error={errorOf('name')}
            required
            maxlength={200}
          />
          <Field
            name="slug"
            label="Slug"
            hint="Its name in addresses: small letters, digits and hyphens, such as acme."
            value={given?.slug}
            error={taken ?? errorOf('slug')}
            required
            maxlength={63}
          />
          <Field
            name="email"
            label="Your e-mail address"
            hint="An e-mail with a link goes there. You become the owner."
            type="email"
            value={given?.email}
            error={errorOf('email')}
            autocomplete="email"
            required
          />
          <Select
            name="region"
            label="Region"
            hint="Where its data is kept."
            options={regions}
            value={given?.region}
            error={errorOf('region')}
          />
          <button type="submit">Send the e-mail</button>
        </form>
        <p class="quiet">
          You have made one? <a href={LINK_PAGE}>Get a link to it</a>.
        </p>
      </Alone>
    ))
  }

  function linkForm(c: Context, wrong?: WrongLink) {
    const { refused, given } = wrong ?? {}
    return formPage(c, 'Get a link', wrong, (errorOf) => (
      <Alone title="Get a link to your organisation">
        <p>For who made an organisation here, and has no other way to sign in.</p>
        {refused && refused.problem.errors === undefined && (
          <Advice refused={refused} said={saidOf(refused)} first />
        )}
        <form class="stack" method="post" action={LINK_PAGE}>
          <Field
            name="slug"
            label="Slug"
            hint="Its name in addresses, such as acme."
            value={given?.slug}
            error={errorOf('slug')}
            required
            maxlength={63}
          />
          <Field
            name="email"
            label="Your e-mail address"
            hint="The one that you signed up with."
            type="email"
            value={given?.email}
            error={errorOf('email')}
            autocomplete="email"
            required
          />
          <button type="submit">Send me a link</button>
        </form>
      </Alone>
    ))
  }

  const linkSentTo = (c: Context, { slug, email }: LinkRequest) =>
    show(c, {
      title: 'Look into your mailbox',
      status: 202,
      body: (
        <Alone title="Look into your mailbox">
          <p>
            If <strong>{email}</strong> is the address that made the organisation <strong>{slug}</strong>, an
            e-mail is on its way to it. The link in it holds for an hour and works once.
          </p>
          <p class="quiet">
            If none comes, look among your spam. Whoever signs in at an identity provider gets none:{' '}
            <a href={`/admin/${slug}/sign-in`}>sign in there</a>, or ask an administrator for a link.
          </p>
        </Alone>
      ),
    })

  const sentTo = (c: Context, email: string) =>
    show(c, {
      title: 'Look into your mailbox',
      status: 202,
      body: (
        <Alone title="Look into your mailbox">
          <p>
            An e-mail is on its way to <strong>{email}</strong>. Open the link in it within an hour, and your
            organisation is there.
          </p>
          <p class="quiet">
            If none comes, look among your spam, or <a href={SIGN_UP_PAGE}>try again</a>.
          </p>
        </Alone>
      ),
    })

  const confirmation = (c: Context, { name, slug, email, region, expiresAt, made }: SignUpShown) =>
    show(c, {
      title: made ? 'Open' : 'Confirm',
      body: (
        <Alone title={`${made ? 'Open' : 'Create'} ${name}`}>
          <p>
            The organisation <strong>{name}</strong> ({slug}) {made ? 'is there' : 'will be made'}, in the
            region {region}, with <strong>{email}</strong> as its owner.
          </p>
          <p class="quiet">
            The link holds until <time datetime={expiresAt}>{expiresAt.slice(11, 16)} UTC</time>.
          </p>
          <form method="post">
            <button type="submit">{made ? 'Open the organisation' : 'Create the organisation'}</button>
          </form>
        </Alone>
      ),
    })

  const closed = (c: Context) =>
    show(c, {
      title: 'Not open',
      status: 404,
      body: (
        <Alone title="Sign-up is not open here">
          <p>Ask the platform’s operator for an organisation, or its administrators for a way into theirs.</p>
        </Alone>
      ),
    })

  /** General advice is for who has an organisation: why a letter or its link is refused, the region says. */
  const refusal = (c: Context, refused: Refused, next?: Child) =>
    showRefusal(c, show, 'Sign up', refused, { next, said: saidOf(refused) })

  return app
}

/** The API's own words, but for a region that did not answer: what to send again is not for strangers. */
const saidOf = (refused: Refused) =>
  refused.problem.code === 'region_unavailable' ? undefined : wordsOf(refused)

const SignUp = () => (
  <p>
    <a class="button" href={SIGN_UP_PAGE}>
      Sign up
    </a>
  </p>
)
