// The way in. GET shows whom a link lets in where, and consumes nothing: mail scanners open links. POST uses it, once,
// in the region, and sets the session's cookie; the address that the browser then shows says nothing of the link. Sent
// again by the same browser, it is the same session.
import { type Context, Hono } from 'hono'
import { ENTER_PATH } from '../../shared/admin_link.ts'
import type { Role } from '../../shared/roles.ts'
import { Api, type Refused } from './api.ts'
import { type Beginning, becomeSession, beginningOf, keepBeginning, type WayIn } from './beginning.ts'
import { type AdminLink, type AdminLinkIdentity, identifyAdminLink } from './identity.ts'
import { landing } from './landing.ts'
import type { OwnersWay } from './owners_way.tsx'
import { Alone } from './parts/layout.tsx'
import { Time } from './parts/list.tsx'
import { GoOn, presentIn, Replaced } from './present.tsx'
import { type Show, showRefusal } from './respond.tsx'
import type { ConsoleDependencies, Organisation, Presence } from './visit.ts'

const ENTRY = '/console/v1/entry'

const USED_HERE = { title: 'This link has been used', what: 'You used it, in this browser.' }

interface Entry {
  organisation: Organisation
  role: Role
  email: string | null
  returnPath: string
  expiresAt: string
}

export function entering(
  { config, inside, noteInvalid }: ConsoleDependencies,
  show: Show,
  owners: OwnersWay,
): Hono {
  const app = new Hono()

  app.get(ENTER_PATH, async (c) => {
    const link = await identifyAdminLink(c.req.raw.url, config)
    if (link === undefined) return notOurs(c)
    const way = wayOf(link.identity)
    const beginning = await beginningOf(c, way, config.roots)
    const answer = await apiAs(link.identity, beginning, c).get<Entry>(ENTRY)
    if (!answer.ok) return refusal(c, answer, link)
    keepBeginning(c, way, beginning)
    return confirmation(c, answer.body, await presentIn(c, way.tenant, { config, inside }))
  })

  app.post(ENTER_PATH, async (c) => {
    const link = await identifyAdminLink(c.req.raw.url, config)
    if (link === undefined) return notOurs(c)
    const way = wayOf(link.identity)
    const beginning = await beginningOf(c, way, config.roots)
    const userAgent = c.req.header('user-agent')?.slice(0, 300) ?? null
    const answer = await apiAs(link.identity, beginning, c).post<Entry>(ENTRY, {
      body: { userAgent },
      idempotencyKey: beginning.begins.sessionId,
    })
    if (!answer.ok) return refusal(c, answer, link)
    const { organisation, returnPath } = answer.body
    becomeSession(c, way, beginning, organisation.slug)
    return c.redirect(landing(organisation.slug, returnPath, config.publicOrigin), 303)
  })

  const wayOf = ({ principal: { linkId, tenant }, home }: AdminLinkIdentity): WayIn => ({
    ...{ id: linkId, tenant, region: home },
  })

  const apiAs = (identity: AdminLinkIdentity, { begins }: Beginning, c: Context) =>
    new Api(inside, { ...identity, principal: { ...identity.principal, begins } }, c.req.raw, {
      publicOrigin: config.publicOrigin,
    })

  function notOurs(c: Context) {
    noteInvalid(c.req.raw)
    return show(c, {
      title: 'Not a valid link',
      status: 401,
      body: (
        <Alone title="This is not a valid link">
          <p>It may have been cut off or changed on the way. Open it exactly as it was sent to you.</p>
          <p>If that does not help, ask whoever sent it for a new one.</p>
        </Alone>
      ),
    })
  }

  async function refusal(c: Context, refused: Refused, { identity, expiresAtMs }: AdminLink) {
    const { tenant, linkId } = identity.principal
    const present = await presentIn(c, tenant, { config, inside })
    const isOwn = refused.problem.code === 'admin_link_used' && present?.session.link === linkId
    const expired = refused.problem.code === 'credential_invalid' && expiresAtMs <= Date.now()
    // The region has forgotten a link that expired long ago; the link itself still says so.
    const told: Refused = expired
      ? { ...refused, status: 410, problem: { ...refused.problem, code: 'admin_link_expired' } }
      : refused
    return showRefusal(c, show, 'No way in', told, {
      said: isOwn ? USED_HERE : undefined,
      next: present === undefined ? await owners(c) : <GoOn present={present} />,
    })
  }

  const confirmation = (
    c: Context,
    { organisation, role, email, expiresAt }: Entry,
    present: Presence | undefined,
  ) =>
    show(c, {
      title: `Sign in to ${organisation.name}`,
      customisation: organisation.customisation,
      body: (
        <Alone
          title={`Sign in to ${organisation.customisation.displayName ?? organisation.name}`}
          logoUrl={organisation.customisation.logoUrl}
        >
          <p>
            This link lets {email === null ? 'one person' : <strong>{email}</strong>} into the console of{' '}
            <strong>{organisation.name}</strong> ({organisation.slug}) as <strong>{role}</strong>, once.
          </p>
          <p class="quiet">
            It can be used until <Time at={expiresAt} />. You will then be signed in for up to twelve hours.
          </p>
          <Replaced present={present} />
          <form method="post">
            <button type="submit">Sign in</button>
          </form>
        </Alone>
      ),
    })

  return app
}
