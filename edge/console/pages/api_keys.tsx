// API keys: made, rotated and revoked here; the secret is shown once.
import type { Child } from 'hono/jsx'
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows, SCOPES } from '../../../shared/scopes.ts'
import type { Api, List, Refused } from '../api.ts'
import { Choices, errorAt, Field, Form, Select } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Pager, Secret, Table, Time } from '../parts/list.tsx'
import { type Maker, makerOf } from '../parts/who.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, daysFromShown, field, fields, type Visit } from '../visit.ts'
import type { ConsolePage } from './page.ts'

export interface ApiKey {
  id: string
  name: string
  scopes: ReadonlyArray<string>
  createdAt: string
  createdBy: Maker | null
  expiresAt: string | null
  lastUsedAt: string | null
}
type CreatedApiKey = ApiKey & { key: string }

const PATH = 'api-keys'

export const apiKeys: ConsolePage = {
  path: PATH,
  title: 'API keys',
  scope: 'api-keys:read',
  messages: { revoked: 'The key was revoked: its next request is refused.' },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const days = field(form, 'days')
      const body = {
        name: field(form, 'name'),
        scopes: fields(form, 'scopes'),
        expiresAt: days === '0' ? null : daysFromShown(form, Number(days)),
      }
      const answer = await visit.api.post<CreatedApiKey>('/v1/api-keys', {
        body,
      })
      if (answer.ok) return shownOnce(c, answer.body, <p>The key works at once.</p>)
      return c.var.again(answer, () => list(c, { ...body, days }))
    })
    app.get('/:id/revoke', (c) =>
      asking(c, 'revoke', 'Revoke', (key) => (
        <p>
          Revoke <strong>{key.name}</strong>? Whatever uses it is refused from its next request on. Links,
          invitations and sessions that it made end with it, your own session too if it let you in. This
          cannot be undone.
        </p>
      )),
    )
    app.post('/:id/revoke', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'revoked') : c.var.refuse(answer)
    })
    app.get('/:id/rotate', (c) =>
      asking(c, 'rotate', 'Rotate', (key) => (
        <p>
          Put a new key in the place of <strong>{key.name}</strong>? It may do the same. The old one still
          works for a day, so that you can change over; revoke it when you have. Links, invitations and
          sessions that the old one made end with it.
        </p>
      )),
    )
    app.post('/:id/rotate', async (c) => {
      const answer = await c.var.visit.api.post<CreatedApiKey>(`${one(c)}/rotate`, {
        body: {},
      })
      if (!answer.ok) return c.var.refuse(answer)
      return shownOnce(c, answer.body, <p>The old key works for one more day.</p>)
    })
  },
}

const one = (c: ConsoleContext): string => `/v1/api-keys/${encodeURIComponent(c.req.param('id') ?? '')}`

interface Given {
  name: string
  scopes: ReadonlyArray<string>
  days: string
}

async function list(c: ConsoleContext, given?: Given) {
  const { visit } = c.var
  const answer = await visit.api.get<List<ApiKey>>(`/v1/api-keys${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'api-keys:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No API keys">
          <p>A program needs one to use the API. {mayWrite && 'Create the first one below.'}</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table
            caption="Live API keys, oldest first; a use is shown within a minute"
            columns={columns(visit, path, mayWrite)}
            rows={data}
          />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && <NewKey visit={visit} path={path} given={given} problem={c.var.problem} />}
    </>,
  )
}

const isExpired = ({ expiresAt }: ApiKey): boolean =>
  expiresAt !== null && Date.parse(expiresAt) <= Date.now()

/** Whoever rotates a key is given its like. */
const mayRotate = ({ scopes }: Visit, key: ApiKey): boolean =>
  !isExpired(key) && key.scopes.every((scope) => allows(scopes, scope))

const columns = (visit: Visit, path: string, mayWrite: boolean) => [
  {
    title: 'Name',
    of: ({ id, name }: ApiKey) => (
      <>
        {name} <small>{id}</small>
      </>
    ),
  },
  { title: 'Allows', of: ({ scopes }: ApiKey) => (scopes.includes('*') ? 'everything' : scopes.join(', ')) },
  {
    title: 'Created',
    of: ({ createdAt, createdBy }: ApiKey) => (
      <>
        <Time at={createdAt} />
        {createdBy && <> by {makerOf(visit, createdBy)}</>}
      </>
    ),
  },
  { title: 'Last used', of: ({ lastUsedAt }: ApiKey) => <Time at={lastUsedAt} /> },
  {
    title: 'Expires',
    of: (key: ApiKey) => (isExpired(key) ? <Badge kind="bad">expired</Badge> : <Time at={key.expiresAt} />),
  },
  ...(mayWrite
    ? [
        {
          title: 'Actions',
          of: (key: ApiKey) => (
            <span class="actions">
              {mayRotate(visit, key) && (
                <a href={`${path}/${key.id}/rotate`} aria-label={`Rotate ${key.name}`}>
                  Rotate
                </a>
              )}
              <a href={`${path}/${key.id}/revoke`} aria-label={`Revoke ${key.name}`}>
                Revoke
              </a>
            </span>
          ),
        },
      ]
    : []),
]

/** Pages of a hundred keys that a member's are looked for in. */
const PAGES_OF_KEYS = 5

/** Those of the oldest that a member made: they go on when the member is removed. */
export async function keysOfMember(
  api: Api,
  member: string,
): Promise<{ ok: true; keys: ReadonlyArray<ApiKey> } | Refused> {
  const keys: ApiKey[] = []
  let cursor = ''
  for (let page = 0; page < PAGES_OF_KEYS; page++) {
    const answer = await api.get<List<ApiKey>>(`/v1/api-keys?limit=100${cursor}`)
    if (!answer.ok) return answer
    const { data, nextCursor } = answer.body
    keys.push(...data.filter(({ createdBy }) => createdBy?.id === member))
    if (nextCursor === null) break
    cursor = `&cursor=${encodeURIComponent(nextCursor)}`
  }
  return { ok: true, keys }
}

/** What a member's keys are, and what to do with them. */
export function KeysLeft({ visit, keys }: { visit: Visit; keys: ReadonlyArray<ApiKey> }) {
  const path = `${visit.base}/${PATH}`
  return (
    <>
      <h2>API keys that they made</h2>
      {keys.length > 0 && (
        <Table
          caption="They go on as they are, whatever becomes of the member: revoke or rotate them"
          columns={columns(visit, path, allows(visit.scopes, 'api-keys:write'))}
          rows={keys}
        />
      )}
      <p>
        There may be more: older keys, and those that they rotated or made with a key.{' '}
        <a href={path}>All API keys</a>
      </p>
    </>
  )
}

interface NewKeyProps {
  visit: Visit
  path: string
  given: Given | undefined
  problem: ProblemDetails | undefined
}

function NewKey({ visit, path, given, problem }: NewKeyProps) {
  const options = SCOPES.filter((scope) => allows(visit.scopes, scope))
  return (
    <section class="panel" aria-labelledby="new">
      <h2 id="new">New API key</h2>
      <Form visit={visit} action={path}>
        <FormProblem problem={problem} />
        <Field
          name="name"
          label="Name"
          hint="What it is for, such as “Build server”."
          value={given?.name}
          error={errorAt(problem, '/name')}
          maxlength={200}
          required
        />
        <Choices
          name="scopes"
          legend="What it allows"
          hint="“write” includes “read”; “*” is everything."
          values={given?.scopes ?? []}
          options={options}
          error={errorAt(problem, '/scopes')}
        />
        <Select
          name="days"
          label="Expires"
          value={given?.days ?? '90'}
          error={errorAt(problem, '/expiresAt')}
          options={[
            { value: '30', label: 'in 30 days' },
            { value: '90', label: 'in 90 days' },
            { value: '365', label: 'in a year' },
            { value: '0', label: 'never' },
          ]}
        />
        <button type="submit">Create the key</button>
      </Form>
    </section>
  )
}

const shownOnce = (c: ConsoleContext, made: CreatedApiKey, note: Child) =>
  c.var.page(
    <>
      <Secret label={`The key “${made.name}”`} value={made.key} />
      {note}
      <div class="panel">
        <Table
          caption="As it stands among the keys"
          columns={columns(c.var.visit, `${c.var.visit.base}/${PATH}`, true)}
          rows={[made]}
        />
      </div>
      <p>
        <a class="button plain" href={`${c.var.visit.base}/${PATH}`}>
          Back to all keys
        </a>
      </p>
    </>,
    { title: 'New API key' },
  )

async function asking(c: ConsoleContext, step: string, verb: string, question: (key: ApiKey) => Child) {
  const { visit } = c.var
  const answer = await visit.api.get<ApiKey>(one(c))
  if (!answer.ok) return c.var.refuse(answer)
  const back = `${visit.base}/${PATH}`
  return c.var.page(
    <Confirm visit={visit} action={`${back}/${answer.body.id}/${step}`} verb={verb} back={back}>
      {question(answer.body)}
    </Confirm>,
    { title: `${verb} an API key` },
  )
}
