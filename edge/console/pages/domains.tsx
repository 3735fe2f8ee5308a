// Custom domains: claimed, shown to be the organisation's by a TXT record, given up.
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { errorAt, Field, Form } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Pager, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Domain {
  id: string
  domain: string
  status: 'pending' | 'verified'
  record: { name: string; value: string }
  lastCheck: { at: string; outcome: keyof typeof FOUND } | null
  verifiedAt: string | null
}

const FOUND = {
  verified: 'The record is there.',
  not_found: 'There is no such record yet. DNS takes its time: look again in a few minutes.',
  wrong_value: 'There is a record of that name, with another value.',
  lookup_failed: 'The domain’s name servers did not answer.',
  taken: 'Another organisation has shown the domain to be theirs.',
} as const

const PATH = 'domains'
const API = '/v1/domains'

export const domains: ConsolePage = {
  path: PATH,
  title: 'Domains',
  scope: 'domains:read',
  messages: { deleted: 'The domain is none of the organisation’s any more.' },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const domain = field(form, 'domain').toLowerCase()
      const answer = await visit.api.post<Domain>(API, {
        body: { domain },
      })
      if (answer.ok) return c.redirect(`${visit.base}/${PATH}/${answer.body.id}`, 303)
      return c.var.again(answer, () => list(c, domain))
    })
    app.get('/:id', (c) => show(c))
    app.post('/:id/verify', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.post<Domain>(`${one(c)}/verify`)
      return answer.ok ? c.redirect(`${visit.base}/${PATH}/${answer.body.id}`, 303) : c.var.refuse(answer)
    })
    app.get('/:id/delete', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<Domain>(one(c))
      if (!answer.ok) return c.var.refuse(answer)
      const back = `${visit.base}/${PATH}`
      return c.var.page(
        <Confirm visit={visit} action={`${back}/${answer.body.id}/delete`} verb="Remove" back={back}>
          <p>
            Remove <strong>{answer.body.domain}</strong>? Requests to it are the organisation’s no longer.
          </p>
        </Confirm>,
        { title: 'Remove a domain' },
      )
    })
    app.post('/:id/delete', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'deleted') : c.var.refuse(answer)
    })
  },
}

const one = (c: ConsoleContext): string => `${API}/${encodeURIComponent(c.req.param('id') ?? '')}`

async function list(c: ConsoleContext, claimed?: string) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<List<Domain>>(`${API}${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const path = `${visit.base}/${PATH}`
  const mayWrite = allows(visit.scopes, 'domains:write')
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No domains">
          <p>
            With a domain of your own, the API is found there, too. {mayWrite && 'Claim the first one below.'}
          </p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Domains" columns={columns(path)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && (
        <section class="panel" aria-labelledby="new">
          <h2 id="new">Claim a domain</h2>
          <Form visit={visit} action={path}>
            <FormProblem problem={problem} />
            <Field
              name="domain"
              label="Domain"
              hint="Such as api.example.com."
              value={claimed}
              error={errorAt(problem, '/domain')}
              maxlength={253}
              required
            />
            <button type="submit">Claim it</button>
          </Form>
        </section>
      )}
    </>,
  )
}

const columns = (path: string) => [
  { title: 'Domain', of: ({ id, domain }: Domain) => <a href={`${path}/${id}`}>{domain}</a> },
  { title: 'Status', of: ({ status }: Domain) => <Status status={status} /> },
  { title: 'Shown to be yours', of: ({ verifiedAt }: Domain) => <Time at={verifiedAt} /> },
]

const Status = ({ status }: Pick<Domain, 'status'>) => (
  <Badge {...(status === 'verified' && { kind: 'good' as const })}>{status}</Badge>
)

async function show(c: ConsoleContext) {
  const { visit } = c.var
  const answer = await visit.api.get<Domain>(one(c))
  if (!answer.ok) return c.var.refuse(answer)
  const { id, domain, status, record, lastCheck } = answer.body
  const path = `${visit.base}/${PATH}/${id}`
  const mayWrite = allows(visit.scopes, 'domains:write')
  return c.var.page(
    <>
      <div class="panel">
        <p>
          <Status status={status} />
        </p>
        <p>Have the domain’s DNS say this, and leave it there:</p>
        <dl>
          <dt>Type</dt>
          <dd>TXT</dd>
          <dt>Name</dt>
          <dd>
            <code>{record.name}</code>
          </dd>
          <dt>Value</dt>
          <dd>
            <code>{record.value}</code>
          </dd>
        </dl>
        {lastCheck && (
          <p role="status">
            <Time at={lastCheck.at} />: {FOUND[lastCheck.outcome]}
          </p>
        )}
        {mayWrite && (
          <Form visit={visit} action={`${path}/verify`}>
            <button type="submit">Check now</button>
          </Form>
        )}
      </div>
      {mayWrite && (
        <p>
          <a class="button danger plain" href={`${path}/delete`}>
            Remove this domain
          </a>
        </p>
      )}
    </>,
    { title: domain },
  )
}
