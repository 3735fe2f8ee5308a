// Where an invitation's link leads. GET says whose it is and consumes nothing: mail scanners open links. POST accepts it,
// once, and begins a session; sent again by the same browser, it is the same one. Who would rather be known by their organisation's provider signs in there, and accepts by
// the API.
import { type Context, Hono } from 'hono'
import {
  INVITATION_PATH,
  INVITATION_TOKEN,
  verifyInvitation,
} from '../../shared/credentials/invitation_token.ts'
import type { Role } from '../../shared/roles.ts'
import { Api, type Refused } from './api.ts'
import { type Beginning, becomeSession, beginningOf, keepBeginning, type WayIn } from './beginning.ts'
import type { InvitationIdentity } from './identity.ts'
import { Alone } from './parts/layout.tsx'
import { Time } from './parts/list.tsx'
import { GoOn, presentIn, Replaced } from './present.tsx'
import { type Show, showRefusal } from './respond.tsx'
import type { ConsoleDependencies, Presence } from './visit.ts'

const INVITATION = '/console/v1/invitation'

interface Opened {
  organisation: { slug: string; name: string }
  email: string
  role: Role
  expiresAt: string
}

export function inviting({ config, inside, noteInvalid }: ConsoleDependencies, show: Show): Hono {
  const app = new Hono()
  const { publicOrigin, roots } = config

  const apiAs = (c: Context, { principal, home }: InvitationIdentity, { begins }: Beginning) =>
    new Api(inside, { kind: 'invitation', principal: { ...principal, begins }, home }, c.req.raw, {
      publicOrigin,
    })

  const wayOf = ({ principal: { invitationId, tenant }, home }: InvitationIdentity): WayIn => ({
    ...{ id: invitationId, tenant, region: home },
  })

  async function invitationIn(c: Context): Promise<InvitationIdentity | undefined> {
    const token = c.req.query('token') ?? ''
    const verified = INVITATION_TOKEN.test(token) ? await verifyInvitation(token, roots) : undefined
    if (verified === undefined) return undefined
    const { secretHash } = verified
    const { tenant, region: home, invitationId } = verified.invitation
    return { kind: 'invitation', principal: { kind: 'invitation', tenant, invitationId, secretHash }, home }
  }

  app.get(INVITATION_PATH, async (c) => {
    const held = await invitationIn(c)
    if (held === undefined) return notOurs(c)
    const beginning = await beginningOf(c, wayOf(held), roots)
    const answer = await apiAs(c, held, beginning).get<Opened>(INVITATION)
    if (!answer.ok) return refusal(c, answer, held)
    keepBeginning(c, wayOf(held), beginning)
    return confirmation(c, answer.body, await presentWith(c, held))
  })

  app.post(INVITATION_PATH, async (c) => {
    const held = await invitationIn(c)
    if (held === undefined) return notOurs(c)
    const beginning = await beginningOf(c, wayOf(held), roots)
    const userAgent = c.req.header('user-agent')?.slice(0, 300) ?? null
    const answer = await apiAs(c, held, beginning).post<Opened>(INVITATION, {
      body: { userAgent },
      idempotencyKey: beginning.begins.sessionId,
    })
    if (!answer.ok) return refusal(c, answer, held)
    const { slug } = answer.body.organisation
    becomeSession(c, wayOf(held), beginning, slug)
    return c.redirect(`/admin/${slug}/`, 303)
  })

  const presentWith = (c: Context, { principal }: InvitationIdentity) =>
    presentIn(c, principal.tenant, { config, inside })

  const confirmation = (
    c: Context,
    { organisation, email, role, expiresAt }: Opened,
    present: Presence | undefined,
  ) =>
    show(c, {
      title: `Join ${organisation.name}`,
      body: (
        <Alone title={`You are invited to ${organisation.name}`}>
          <p>
            Whoever accepts becomes a member of <strong>{organisation.name}</strong> ({organisation.slug}) as{' '}
            <strong>{role}</strong>. The invitation was sent to <strong>{email}</strong>.
          </p>
          <p class="quiet">
            It works once, until <Time at={expiresAt} />.
          </p>
          <Replaced present={present} />
          <form method="post">
            <button type="submit">Accept</button>
          </form>
          <details>
            <summary>With an account of the organisation’s identity provider</summary>
            <p>
              Send a token of it as <code>Authorization: Bearer</code>, and this body, to{' '}
              <code>POST {publicOrigin}/v1/invitations/accept</code>. From then on you can sign in by it.
            </p>
            <pre tabindex={0}>
              <code>{JSON.stringify({ token: c.req.query('token') })}</code>
            </pre>
          </details>
        </Alone>
      ),
    })

  function notOurs(c: Context) {
    noteInvalid(c.req.raw)
    return show(c, {
      title: 'Not a valid invitation',
      status: 404,
      body: (
        <Alone title="This is not a valid invitation">
          <p>It may have been cut off on the way. Open it exactly as it was sent to you.</p>
        </Alone>
      ),
    })
  }

  const refusal = async (c: Context, refused: Refused, held: InvitationIdentity) =>
    showRefusal(c, show, 'No way in', refused, { next: <GoOn present={await presentWith(c, held)} /> })

  return app
}
