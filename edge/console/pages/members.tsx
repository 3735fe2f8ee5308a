// The organisation's people: who is a member, as what; and links that let someone into the console.
import type { ProblemDetails } from '../../../shared/problems.ts'
import { mayGrant, ROLES, type Role } from '../../../shared/roles.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { LinkLife, LinkShown, type MadeLink } from '../parts/admin_link.tsx'
import { errorAt, Field, Form, Select } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Pager, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field, formVersion, type Visit } from '../visit.ts'
import { KeysLeft, keysOfMember } from './api_keys.tsx'
import type { ConsolePage } from './page.ts'

interface Member {
  id: string
  email: string | null
  role: Role
  decidedBy: 'provider' | 'organisation'
  identity: { issuer: string; subject: string } | null
  createdAt: string
}

interface Given {
  issuer: string
  subject: string
  email: string
  role: string
}

const PATH = 'members'

export const members: ConsolePage = {
  path: PATH,
  title: 'Members',
  scope: 'members:read',
  messages: {
    added: 'The member was added.',
    changed:
      'The member’s role was changed. It holds from their next request on, and API keys that they made go on.',
    removed: 'The member was removed: their next request is refused. API keys that they made go on.',
  },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const [issuer, subject, email, role] = ['issuer', 'subject', 'email', 'role'].map((name) =>
        field(form, name),
      ) as [string, string, string, string]
      const body = { identity: { issuer, subject }, role, email: email === '' ? null : email }
      const answer = await visit.api.post<Member>('/v1/members', {
        body,
      })
      if (answer.ok) return c.var.done(`${PATH}/${answer.body.id}`, 'added')
      return c.var.again(answer, () => list(c, { issuer, subject, email, role }))
    })
    app.get('/:id', (c) => edit(c))
    app.post('/:id', async (c) => {
      const { visit, form } = c.var
      const body = { role: field(form, 'role') }
      const answer = await visit.api.patch<Member>(one(c), { body, ifMatch: field(form, 'version') })
      return answer.ok
        ? c.var.done(`${PATH}/${answer.body.id}`, 'changed')
        : c.var.again(answer, () => edit(c, body.role))
    })
    app.post('/:id/link', async (c) => {
      const { visit, form } = c.var
      const memberId = c.req.param('id')
      const body = { memberId, expiresIn: Number(field(form, 'seconds')) }
      const answer = await visit.api.post<MadeLink>('/v1/admin-links', { body })
      if (!answer.ok) return c.var.refuse(answer)
      const back = { path: `${PATH}/${memberId}`, title: 'the member' }
      return c.var.page(<LinkShown visit={visit} link={answer.body} back={back} />, {
        title: 'New admin link',
      })
    })
    app.get('/:id/remove', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<Member>(one(c))
      if (!answer.ok) return c.var.refuse(answer)
      const left = await keysLeft(visit, answer.body)
      if (left?.ok === false) return c.var.refuse(left)
      const back = `${visit.base}/${PATH}/${answer.body.id}`
      return c.var.page(
        <Confirm visit={visit} action={`${back}/remove`} verb="Remove" back={back}>
          <p>
            Remove <strong>{nameOf(answer.body)}</strong>? Their tokens, their sessions, and the links and
            invitations that they made are refused at once. They come back only when someone adds them again.
          </p>
          <p>
            A link that was made for nobody in particular may have let them in, too: look at{' '}
            <a href={`${visit.base}/sessions`}>Sessions</a>.
          </p>
          {left && <KeysLeft visit={visit} keys={left.keys} />}
        </Confirm>,
        { title: 'Remove a member' },
      )
    })
    app.post('/:id/remove', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'removed') : c.var.refuse(answer)
    })
  },
}

const one = (c: ConsoleContext): string => `/v1/members/${encodeURIComponent(c.req.param('id') ?? '')}`

const nameOf = ({ email, identity, id }: Member): string => email ?? identity?.subject ?? id

const rolesOf = ({ scopes }: Visit): ReadonlyArray<Role> => ROLES.filter((role) => mayGrant(scopes, role))

/** @returns undefined for who may not see keys */
const keysLeft = async ({ api, scopes }: Visit, { id }: Member) =>
  allows(scopes, 'api-keys:read') ? keysOfMember(api, id) : undefined

async function list(c: ConsoleContext, given?: Given) {
  const { visit } = c.var
  const answer = await visit.api.get<List<Member>>(`/v1/members${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'members:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No members">
          <p>Let people in by an identity provider, or add them one by one.</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Members, oldest first" columns={columns(path, mayWrite)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && <NewMember visit={visit} path={path} given={given} problem={c.var.problem} />}
    </>,
  )
}

const columns = (path: string, mayWrite: boolean) => [
  {
    title: 'Who',
    of: (member: Member) =>
      mayWrite ? <a href={`${path}/${member.id}`}>{nameOf(member)}</a> : nameOf(member),
  },
  { title: 'Role', of: ({ role }: Member) => <Badge>{role}</Badge> },
  {
    title: 'Role given by',
    of: ({ decidedBy }: Member) => (decidedBy === 'provider' ? 'identity provider' : 'the organisation'),
  },
  { title: 'Signs in with', of: ({ identity }: Member) => identity?.issuer ?? 'links only' },
  { title: 'Since', of: ({ createdAt }: Member) => <Time at={createdAt} /> },
]

interface NewMemberProps {
  visit: Visit
  path: string
  given: Given | undefined
  problem: ProblemDetails | undefined
}

const NewMember = ({ visit, path, given, problem }: NewMemberProps) => (
  <section class="panel" aria-labelledby="new">
    <h2 id="new">Add a member</h2>
    <p class="quiet">
      Someone whose account at an identity provider you know. Their tokens then open the API.
    </p>
    <Form visit={visit} action={path}>
      <FormProblem problem={problem} />
      <Field
        name="issuer"
        label="Issuer"
        hint="As their tokens say it in “iss”, letter by letter."
        value={given?.issuer}
        error={errorAt(problem, '/identity/issuer')}
        required
      />
      <Field
        name="subject"
        label="Subject"
        hint="As their tokens say it in “sub”."
        value={given?.subject}
        error={errorAt(problem, '/identity/subject')}
        required
      />
      <Field
        name="email"
        label="E-mail address (to show)"
        type="email"
        value={given?.email}
        error={errorAt(problem, '/email')}
      />
      <Select
        name="role"
        label="Role"
        value={given?.role ?? 'member'}
        error={errorAt(problem, '/role')}
        options={rolesOf(visit)}
      />
      <button type="submit">Add</button>
    </Form>
  </section>
)

async function edit(c: ConsoleContext, role?: string) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<Member>(one(c))
  if (!answer.ok) return c.var.refuse(answer)
  const member = answer.body
  const isBelow = mayGrant(visit.scopes, member.role)
  const mayWrite = isBelow && allows(visit.scopes, 'members:write')
  const left = mayWrite ? await keysLeft(visit, member) : undefined
  if (left?.ok === false) return c.var.refuse(left)
  const mayLetIn = isBelow && allows(visit.scopes, 'admin-links:write')
  const action = `${visit.base}/${PATH}/${member.id}`
  return c.var.page(
    <>
      {/* Also where the role that they have now is one that only others may change. */}
      <FormProblem problem={problem} typed={{ Role: role ?? '' }} now={{ Role: member.role }} />
      <div class="panel">
        <dl>
          <dt>Id</dt>
          <dd>
            <code>{member.id}</code>
          </dd>
          <dt>Identity</dt>
          <dd>
            {member.identity ? (
              <>
                <strong>{member.identity.subject}</strong> at {member.identity.issuer}
              </>
            ) : (
              'none yet'
            )}
          </dd>
          <dt>Role</dt>
          <dd>
            <Badge>{member.role}</Badge>
          </dd>
        </dl>
        {mayWrite && (
          <Form visit={visit} action={action}>
            <input type="hidden" name="version" value={formVersion(c, answer.etag)} />
            <Select
              name="role"
              label="Role"
              hint="Once you set it here, the identity provider’s rules no longer decide it."
              value={role ?? member.role}
              error={errorAt(problem, '/role')}
              options={rolesOf(visit)}
            />
            <button type="submit">Save</button>
          </Form>
        )}
      </div>
      {mayLetIn && (
        <div class="panel">
          <h2>Let them in</h2>
          <p class="quiet">Its session is theirs, and ends when they are removed.</p>
          <Form visit={visit} action={`${action}/link`}>
            <LinkLife />
            <button type="submit">Make a link for them</button>
          </Form>
        </div>
      )}
      {left && (
        <div class="panel">
          <KeysLeft visit={visit} keys={left.keys} />
        </div>
      )}
      {mayWrite && (
        <div class="panel">
          <h2>Remove</h2>
          <p>Their tokens, links and sessions are refused from then on.</p>
          <a class="button danger plain" href={`${action}/remove`}>
            Remove this member
          </a>
        </div>
      )}
    </>,
    { title: nameOf(member) },
  )
}
