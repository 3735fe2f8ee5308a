// Invitations to become a member: sent by mail where the platform can, otherwise a link to pass on.
import { mayGrant, ROLES, type Role } from '../../../shared/roles.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { errorAt, Field, Form, Select } from '../parts/form.tsx'
import { Badge, EmptyState, Pager, RowButton, Secret, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field, type Visit } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Invitation {
  id: string
  email: string
  role: Role
  status: 'open' | 'accepted' | 'revoked' | 'expired'
  delivery: 'link' | 'sending' | 'sent' | 'refused' | 'not_sent'
  expiresAt: string
}

interface Given {
  email: string
  role: string
}

const PATH = 'invitations'
const DELIVERY = {
  link: 'a link, passed on by whoever invited',
  sending: 'mail, on its way',
  sent: 'mail',
  refused: 'mail, refused by its server',
  not_sent: 'mail, not sent',
}

export const invitations: ConsolePage = {
  path: PATH,
  title: 'Invitations',
  scope: 'members:read',
  messages: {
    revoked: 'The invitation was revoked: nobody can accept it any more.',
  },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const body = { email: field(form, 'email'), role: field(form, 'role') }
      const answer = await visit.api.post<Invitation & { url: string | null }>('/v1/invitations', {
        body,
      })
      if (!answer.ok) return c.var.again(answer, () => list(c, body))
      const { url, email, expiresAt } = answer.body
      const path = `${visit.base}/${PATH}`
      return c.var.page(
        <>
          {url === null ? (
            <p class="flash" role="status">
              The invitation is on its way.
            </p>
          ) : (
            <>
              <Secret label={`The invitation for ${email}`} value={url} />
              <p>
                No e-mail was sent: pass it on to them. It can be accepted once, until <Time at={expiresAt} />
                .
              </p>
            </>
          )}
          <div class="panel">
            <Table
              caption="As it stands among the invitations"
              columns={columns(visit, path, true)}
              rows={[answer.body]}
            />
          </div>
          <p>
            <a class="button plain" href={path}>
              Back to all invitations
            </a>
          </p>
        </>,
        { title: 'New invitation' },
      )
    })
    app.post('/:id/revoke', async (c) => {
      const id = encodeURIComponent(c.req.param('id') ?? '')
      const answer = await c.var.visit.api.delete(`/v1/invitations/${id}`)
      return answer.ok ? c.var.done(PATH, 'revoked') : c.var.refuse(answer)
    })
  },
}

async function list(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<List<Invitation>>(`/v1/invitations${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'members:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No invitations">
          <p>Whoever accepts one becomes a member; they need no account of their own for that.</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table
            caption="Invitations, oldest first; those that have ended, for a week"
            columns={columns(visit, path, mayWrite)}
            rows={data}
          />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && (
        <section class="panel" aria-labelledby="new">
          <h2 id="new">Invite someone</h2>
          <Form visit={visit} action={path}>
            <FormProblem problem={problem} />
            <Field
              name="email"
              label="E-mail address"
              type="email"
              value={given?.email}
              error={errorAt(problem, '/email')}
              required
            />
            <Select
              name="role"
              label="Role"
              value={given?.role ?? 'member'}
              error={errorAt(problem, '/role')}
              options={ROLES.filter((role) => mayGrant(visit.scopes, role))}
            />
            <button type="submit">Invite</button>
          </Form>
        </section>
      )}
    </>,
  )
}

const columns = (visit: Visit, path: string, mayWrite: boolean) => [
  { title: 'For', of: ({ email }: Invitation) => email },
  { title: 'Role', of: ({ role }: Invitation) => <Badge>{role}</Badge> },
  {
    title: 'State',
    of: ({ status }: Invitation) => (
      <Badge {...(status === 'accepted' && { kind: 'good' as const })}>{status}</Badge>
    ),
  },
  { title: 'Sent by', of: ({ delivery }: Invitation) => DELIVERY[delivery] ?? delivery },
  { title: 'Until', of: ({ expiresAt }: Invitation) => <Time at={expiresAt} /> },
  ...(mayWrite
    ? [
        {
          title: 'Actions',
          of: ({ id, email, status }: Invitation) =>
            status === 'open' && (
              <RowButton
                {...{ visit, action: `${path}/${id}/revoke`, verb: 'Revoke' }}
                label={`Revoke the invitation for ${email}`}
              />
            ),
        },
      ]
    : []),
]
