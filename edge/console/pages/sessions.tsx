// Who is in the console: sessions, and ending one or all of them.
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { Badge, Confirm, Pager, RowButton, Table, Time } from '../parts/list.tsx'
import { whoOf } from '../parts/who.tsx'
import { cursorQuery, type SessionShown, type Visit } from '../visit.ts'
import type { ConsolePage } from './page.ts'

const PATH = 'sessions'

export const sessions: ConsolePage = {
  path: PATH,
  title: 'Sessions',
  scope: 'sessions:read',
  messages: { ended: 'The session has ended: its next request is refused.' },
  routes(app) {
    app.get('/', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<List<SessionShown>>(`/v1/sessions${cursorQuery(c)}`)
      if (!answer.ok) return c.var.refuse(answer)
      const { data, nextCursor } = answer.body
      const mayWrite = allows(visit.scopes, 'sessions:write')
      const path = `${visit.base}/${PATH}`
      return c.var.page(
        <div class="panel">
          <Table caption="Sessions, oldest first" columns={columns(visit, path, mayWrite)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
          {mayWrite && (
            <p>
              <a class="button danger plain" href={`${path}/end-all`}>
                End all sessions
              </a>
            </p>
          )}
        </div>,
      )
    })
    app.get('/end-all', (c) => {
      const { visit } = c.var
      const path = `${visit.base}/${PATH}`
      return c.var.page(
        <Confirm visit={visit} action={`${path}/end-all`} verb="End all" back={path}>
          <p>
            End every session, yours too, and take back every link and invitation that nobody has used?
            Everyone then needs a new link to come back: have an API key at hand that may make one.
          </p>
        </Confirm>,
        { title: 'End all sessions' },
      )
    })
    app.post('/end-all', async (c) => {
      const answer = await c.var.visit.api.delete('/v1/sessions')
      // The next page has nobody to show itself to, and says so.
      return answer.ok ? c.redirect(`${c.var.visit.base}/`, 303) : c.var.refuse(answer)
    })
    app.post('/:id/end', async (c) => {
      const id = encodeURIComponent(c.req.param('id') ?? '')
      const answer = await c.var.visit.api.delete(`/v1/sessions/${id}`)
      return answer.ok ? c.var.done(PATH, 'ended') : c.var.refuse(answer)
    })
  },
}

const columns = (visit: Visit, path: string, mayWrite: boolean) => [
  {
    title: 'Who',
    of: (session: SessionShown) => (
      <>
        {whoOf(visit, session)} {session.id === visit.session.id && <Badge kind="good">this one</Badge>}{' '}
        <small>{session.id}</small>
      </>
    ),
  },
  { title: 'Role', of: ({ role }: SessionShown) => <Badge>{role}</Badge> },
  { title: 'Last used', of: ({ lastUsedAt }: SessionShown) => <Time at={lastUsedAt} /> },
  { title: 'Ends', of: ({ expiresAt }: SessionShown) => <Time at={expiresAt} /> },
  { title: 'IP address', of: ({ ip }: SessionShown) => ip ?? 'unknown' },
  { title: 'Browser', of: ({ userAgent }: SessionShown) => <small>{userAgent ?? 'unknown'}</small> },
  ...(mayWrite
    ? [
        {
          title: 'Actions',
          of: ({ id, email }: SessionShown) => (
            <RowButton
              {...{ visit, action: `${path}/${id}/end`, verb: 'End' }}
              label={`End the session of ${email ?? id}`}
            />
          ),
        },
      ]
    : []),
]
