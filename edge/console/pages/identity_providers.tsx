// OpenID issuers whose tokens the organisation takes.
import type { ProblemDetails } from '../../../shared/problems.ts'
import { ROLES } from '../../../shared/roles.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { errorAt, Field, Form, SecretField, TextArea } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Pager, Table } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field, type Visit } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Provider {
  id: string
  name: string
  issuer: string
  audience: string
  roleClaim: string | null
  createMembers: boolean
  clientId: string | null
}

interface Member {
  id: string
  decidedBy: 'provider' | 'organisation'
  identity: { issuer: string } | null
}

interface Given {
  name: string
  issuer: string
  roleClaim: string
  mapping: string
  clientId: string
  clientSecret: string
  createMembers: boolean
}

const PATH = 'identity-providers'

export const identityProviders: ConsolePage = {
  path: PATH,
  title: 'Identity providers',
  scope: 'identity-providers:read',
  messages: {
    added: 'The provider was added: its tokens are taken from now on.',
    deleted: 'The provider was deleted: its next token is refused.',
  },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const given: Given = {
        name: field(form, 'name'),
        issuer: field(form, 'issuer'),
        roleClaim: field(form, 'roleClaim'),
        mapping: field(form, 'mapping'),
        clientId: field(form, 'clientId'),
        clientSecret: field(form, 'clientSecret'),
        createMembers: field(form, 'createMembers') === 'on',
      }
      const { name, issuer, roleClaim, mapping, clientId, clientSecret, createMembers } = given
      if (createMembers && (roleClaim === '' || mapping === '')) return list(c, given, NO_ROLES)
      const answer = await visit.api.post<Provider>('/v1/identity-providers', {
        body: {
          ...{ name, issuer, createMembers, roleClaim: roleClaim || null, roleMapping: mappingOf(mapping) },
          ...{ clientId: clientId || null, clientSecret: clientSecret || null },
        },
      })
      if (answer.ok) return c.var.done(PATH, 'added')
      return c.var.again(answer, () => list(c, given))
    })
    app.get('/:id/delete', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<Provider>(one(c))
      if (!answer.ok) return c.var.refuse(answer)
      const back = `${visit.base}/${PATH}`
      const own = await ownPart(visit, answer.body)
      return c.var.page(
        <Confirm visit={visit} action={`${back}/${answer.body.id}/delete`} verb="Delete" back={back}>
          <p>
            Delete <strong>{answer.body.name}</strong>? Nobody can use its tokens any more. Whoever it let in
            is signed out at once, and so is whoever came in by a link of theirs; they come back by a link
            from somebody who is still in.
          </p>
          {own !== undefined && <p class="notice bad">{OWN_PART[own]}</p>}
        </Confirm>,
        { title: 'Delete an identity provider' },
      )
    })
    app.post('/:id/delete', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'deleted') : c.var.refuse(answer)
    })
  },
}

const NO_ROLES =
  'Nobody would become a member: without a claim, and roles for its values, no token has a role. Give both, or a defaultRole by the API.'

const OWN_PART = {
  session:
    'Your own session ends with it. Make sure that there is another way in for an owner: a link, or an API key that may make one.',
  way_back:
    'It is the way that you sign in by. Your session goes on, but once it is over you come back by a link alone.',
}

/** What whoever deletes it loses themselves. */
async function ownPart(
  { api, session: { member, issuer } }: Visit,
  provider: Provider,
): Promise<keyof typeof OWN_PART | undefined> {
  const behind = [...new Set([member, issuer.kind === 'member' ? issuer.id : null])]
  const members = await Promise.all(
    behind.map((id) => (id === null ? undefined : api.get<Member>(`/v1/members/${id}`))),
  )
  const known = members.flatMap((each) =>
    each?.ok && each.body.identity?.issuer === provider.issuer ? [each.body] : [],
  )
  if (known.some(({ decidedBy }) => decidedBy === 'provider')) return 'session'
  return known.some(({ id }) => id === member) ? 'way_back' : undefined
}

const one = (c: ConsoleContext): string =>
  `/v1/identity-providers/${encodeURIComponent(c.req.param('id') ?? '')}`

/** `value = role`, one a line; the API says what is wrong with it. */
const mappingOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '')
      .map((line) => {
        const at = line.lastIndexOf('=')
        return at < 0 ? [line.trim(), ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()]
      }),
  )

async function list(c: ConsoleContext, given?: Given, error?: string) {
  const { visit } = c.var
  const answer = await visit.api.get<List<Provider>>(`/v1/identity-providers?limit=100${cursorQuery(c, '&')}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'identity-providers:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No identity providers">
          <p>With one, your people use the API with the accounts that they have.</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Identity providers, oldest first" columns={columns(path, mayWrite)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite ? (
        <NewProvider {...{ visit, path, given, error, problem: c.var.problem }} />
      ) : (
        <p class="quiet">Only owners add or delete identity providers: they decide who everybody is.</p>
      )}
    </>,
    error === undefined ? {} : { status: 422 },
  )
}

const columns = (path: string, mayWrite: boolean) => [
  { title: 'Name', of: ({ name }: Provider) => name },
  { title: 'Issuer', of: ({ issuer }: Provider) => issuer },
  { title: 'Audience', of: ({ audience }: Provider) => <code>{audience}</code> },
  {
    title: 'Sign-in here',
    of: ({ clientId }: Provider) => (clientId === null ? 'no' : <code>{clientId}</code>),
  },
  {
    title: 'New people',
    of: ({ createMembers }: Provider) => (
      <Badge>{createMembers ? 'become members' : 'are added by hand'}</Badge>
    ),
  },
  ...(mayWrite
    ? [
        {
          title: 'Actions',
          of: ({ id, name }: Provider) => (
            <a href={`${path}/${id}/delete`} aria-label={`Delete ${name}`}>
              Delete
            </a>
          ),
        },
      ]
    : []),
]

interface NewProviderProps {
  visit: Visit
  path: string
  given: Given | undefined
  problem: ProblemDetails | undefined
  /** With whom it lets in, all of it being what the API takes. */
  error: string | undefined
}

const NewProvider = ({ visit, path, given, problem, error }: NewProviderProps) => (
  <section class="panel" aria-labelledby="new">
    <h2 id="new">Add an identity provider</h2>
    <Form visit={visit} action={path}>
      <FormProblem problem={problem} />
      <Field
        name="name"
        label="Name"
        value={given?.name}
        error={errorAt(problem, '/name')}
        maxlength={200}
        required
      />
      <Field
        name="issuer"
        label="Issuer"
        type="url"
        hint="Its https address, as its tokens say it in “iss”."
        value={given?.issuer}
        error={errorAt(problem, '/issuer')}
        required
      />
      <Field
        name="roleClaim"
        label="Claim with roles"
        hint="Such as “groups”. Leave it empty if tokens have none: members then have the role that you give them."
        value={given?.roleClaim}
        error={error ?? errorAt(problem, '/roleClaim')}
      />
      <TextArea
        name="mapping"
        label="Roles"
        hint={`One a line: a value of that claim, “=”, and ${ROLES.join(', ')}.`}
        rows={4}
        value={given?.mapping}
        error={errorAt(problem, '/roleMapping')}
      />
      <label class="inline">
        <input type="checkbox" name="createMembers" checked={given?.createMembers ?? false} />
        Whoever has a role becomes a member with their first request
      </label>
      <Field
        name="clientId"
        label="Client for the console"
        hint={`The id of a client there, so that people sign in here with it; its redirect URI is this host’s ${visit.base}/sign-in/callback. Empty: they can’t.`}
        value={given?.clientId}
        error={errorAt(problem, '/clientId')}
      />
      <SecretField
        name="clientSecret"
        label="Secret of that client"
        hint="Where it has one. It is kept sealed, and never shown."
        typed={given !== undefined && given.clientSecret !== ''}
        error={errorAt(problem, '/clientSecret')}
      />
      <button type="submit">Add</button>
    </Form>
  </section>
)
