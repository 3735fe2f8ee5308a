// Links into this console: made, shown once, revoked.
import type { ProblemDetails } from '../../../shared/problems.ts'
import { mayGrant, ROLES, type Role } from '../../../shared/roles.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { LinkLife, LinkShown, type MadeLink } from '../parts/admin_link.tsx'
import { errorAt, Field, Form, Select } from '../parts/form.tsx'
import { Badge, EmptyState, Pager, RowButton, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field, type Visit } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface AdminLink {
  id: string
  role: Role
  email: string | null
  member: string | null
  createdAt: string
  expiresAt: string
  status: 'open' | 'used' | 'revoked' | 'expired'
}

interface Given {
  email: string
  role: string
  seconds: string
}

const PATH = 'links'

export const adminLinks: ConsolePage = {
  path: PATH,
  title: 'Admin links',
  scope: 'admin-links:read',
  messages: { revoked: 'The link was revoked: it lets nobody in any more.' },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const [email, role, seconds] = ['email', 'role', 'seconds'].map((name) => field(form, name)) as [
        string,
        string,
        string,
      ]
      const answer = await visit.api.post<MadeLink>('/v1/admin-links', {
        body: { role, expiresIn: Number(seconds), email: email === '' ? null : email },
      })
      if (answer.ok) {
        return c.var.page(
          <LinkShown visit={visit} link={answer.body} back={{ path: PATH, title: 'all links' }} />,
          { title: 'New admin link' },
        )
      }
      return c.var.again(answer, () => list(c, { email, role, seconds }))
    })
    app.post('/:id/revoke', async (c) => {
      const answer = await c.var.visit.api.delete(
        `/v1/admin-links/${encodeURIComponent(c.req.param('id') ?? '')}`,
      )
      return answer.ok ? c.var.done(PATH, 'revoked') : c.var.refuse(answer)
    })
  },
}

async function list(c: ConsoleContext, given?: Given) {
  const { visit } = c.var
  const answer = await visit.api.get<List<AdminLink>>(`/v1/admin-links${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'admin-links:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No links">
          <p>
            A link lets one person into this console, once.{' '}
            {mayWrite && 'Create one below, and send it to them.'}
          </p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table
            caption="Links that are open, or were so within a day"
            columns={columns(visit, path, mayWrite)}
            rows={data}
          />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && <NewLink visit={visit} path={path} given={given} problem={c.var.problem} />}
    </>,
  )
}

const columns = (visit: Visit, path: string, mayWrite: boolean) => [
  {
    title: 'For',
    of: ({ email, member, id }: AdminLink) =>
      member === null ? (
        (email ?? <code>{id}</code>)
      ) : (
        <a href={`${visit.base}/members/${member}`}>{email ?? member}</a>
      ),
  },
  { title: 'Role', of: ({ role }: AdminLink) => <Badge>{role}</Badge> },
  {
    title: 'State',
    of: ({ status }: AdminLink) => (
      <Badge {...(status === 'open' && { kind: 'good' as const })}>{status}</Badge>
    ),
  },
  { title: 'Until', of: ({ expiresAt }: AdminLink) => <Time at={expiresAt} /> },
  ...(mayWrite
    ? [
        {
          title: 'Actions',
          of: ({ id, status, email }: AdminLink) =>
            status === 'open' && (
              <RowButton
                {...{ visit, action: `${path}/${id}/revoke`, verb: 'Revoke' }}
                label={`Revoke the link for ${email ?? id}`}
              />
            ),
        },
      ]
    : []),
]

interface NewLinkProps {
  visit: Visit
  path: string
  given: Given | undefined
  problem: ProblemDetails | undefined
}

const NewLink = ({ visit, path, given, problem }: NewLinkProps) => (
  <section class="panel" aria-labelledby="new">
    <h2 id="new">New admin link</h2>
    <p class="quiet">
      Its session is nobody’s in particular. A member’s is made at{' '}
      <a href={`${visit.base}/members`}>Members</a>.
    </p>
    <Form visit={visit} action={path}>
      <FormProblem problem={problem} />
      <Field
        name="email"
        label="For whom (e-mail address, to show)"
        type="email"
        value={given?.email}
        error={errorAt(problem, '/email')}
      />
      <Select
        name="role"
        label="Role"
        value={given?.role ?? 'admin'}
        error={errorAt(problem, '/role')}
        options={ROLES.filter((role) => mayGrant(visit.scopes, role))}
      />
      <LinkLife seconds={given?.seconds} problem={problem} />
      <button type="submit">Create the link</button>
    </Form>
  </section>
)
