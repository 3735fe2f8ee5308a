// Webhooks in: whose are taken, where each provider has to send them, and what came.
import type { Child } from 'hono/jsx'
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { errorAt, Field, Form, SecretField, Select, TextArea } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Id, Pager, Secret, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field, formVersion, type Visit } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Source {
  id: string
  name: string
  provider: Provider
  eventTypes: Readonly<Record<string, string>>
  formerSecretUntil: string | null
  received: number
  rejected: number
  createdAt: string
}

interface Received {
  id: string
  type: string
  providerEventId: string | null
  bytes: number
  receivedAt: string
}

interface Given {
  name: string
  provider: string
  secret: string
  eventTypes: string
}

type Provider = keyof typeof SETUP

/** What to do at the provider, once the URL is there. */
const SETUP = {
  stripe: {
    title: 'Stripe',
    steps: [
      'In the dashboard open Developers, Webhooks, and add an endpoint (or an event destination of the kind webhook).',
      'Enter the URL, and choose the events that you want.',
      'Reveal the endpoint’s signing secret, whsec_…, and give it as the secret here.',
      'Have Stripe send a test event: it appears below.',
    ],
  },
  github: {
    title: 'GitHub',
    steps: [
      'In the repository or organisation open Settings, Webhooks, and add a webhook.',
      'Enter the URL as Payload URL, and choose the content type application/json.',
      'Enter a secret of your own choice: the same one as here.',
      'Choose the events, and save. GitHub sends a ping, which appears below.',
    ],
  },
  slack: {
    title: 'Slack',
    steps: [
      'At api.slack.com/apps open your app. Its signing secret, under Basic Information, is the secret here.',
      'Under Event Subscriptions switch events on, and enter the URL as Request URL: Slack’s question is answered by itself.',
      'Subscribe to the bot events that you want, save, and install the app again.',
    ],
  },
  shopify: {
    title: 'Shopify',
    steps: [
      'In the admin open Settings, Notifications, Webhooks, and create a webhook for each event, in JSON, with the URL.',
      'The key that they are signed with stands below the list there: give it as the secret here.',
      'Have Shopify send a test notification: it appears below.',
    ],
  },
  standard: {
    title: 'Standard Webhooks',
    steps: [
      'Give the sender the URL.',
      'The sender’s secret begins with whsec_: give it as the secret here.',
      'The headers webhook-id, webhook-timestamp and webhook-signature come from the sender by themselves.',
    ],
  },
  hmac: {
    title: 'Any other, with an HMAC',
    steps: [
      'Choose a long random secret, and give it to the sender and here.',
      'Have the sender put the HMAC-SHA256 of the request’s body, in hexadecimal, into the header X-Signature.',
      'X-Event-Id, different for each event, keeps one that is sent twice from counting twice; X-Event-Type names its type.',
    ],
  },
} as const

const SetUp = ({ provider }: { provider: Provider }) => (
  <>
    <h2>At {SETUP[provider].title}</h2>
    <ol>
      {SETUP[provider].steps.map((step) => (
        <li>{step}</li>
      ))}
    </ol>
  </>
)

const PATH = 'webhook-sources'
const API = '/v1/webhook-sources'

export const webhookSources: ConsolePage = {
  path: PATH,
  title: 'Webhooks in',
  scope: 'webhook-sources:read',
  messages: { changed: 'The source was changed.', deleted: 'The source is gone: its URL is none any more.' },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const given = givenIn(form)
      const { name, provider, secret } = given
      const answer = await visit.api.post<Source & { url: string }>(API, {
        body: { name, provider, secret, eventTypes: mappingIn(given.eventTypes) },
      })
      if (answer.ok) return made(c, answer.body)
      return c.var.again(answer, () => list(c, given))
    })
    app.get('/:id', (c) => show(c))
    app.post('/:id', async (c) => {
      const { visit, form } = c.var
      const given = givenIn(form)
      const { name, secret, eventTypes } = given
      const answer = await visit.api.patch<Source>(one(c), {
        body: { name, eventTypes: mappingIn(eventTypes), ...(secret !== '' && { secret }) },
        ifMatch: field(form, 'version'),
      })
      if (answer.ok) return c.var.done(`${PATH}/${answer.body.id}`, 'changed')
      return c.var.again(answer, () => show(c, given))
    })
    app.get('/:id/delete', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<Source>(one(c))
      if (!answer.ok) return c.var.refuse(answer)
      const back = `${visit.base}/${PATH}/${answer.body.id}`
      return c.var.page(
        <Confirm visit={visit} action={`${back}/delete`} verb="Delete" back={back}>
          <p>
            Delete <strong>{answer.body.name}</strong> and what it received? Whoever still sends to its URL is
            refused.
          </p>
        </Confirm>,
        { title: 'Delete a source' },
      )
    })
    app.post('/:id/delete', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'deleted') : c.var.refuse(answer)
    })
    app.get('/:id/received/:webhook', async (c) => {
      const { visit } = c.var
      const webhook = encodeURIComponent(c.req.param('webhook') ?? '')
      const answer = await visit.api.get<Received & { body: string; encoding: string }>(
        `${one(c)}/received/${webhook}`,
      )
      if (!answer.ok) return c.var.refuse(answer)
      const { type, providerEventId, receivedAt, body, encoding } = answer.body
      return c.var.page(
        <div class="panel">
          <dl>
            <dt>Received</dt>
            <dd>
              <Time at={receivedAt} />
            </dd>
            <dt>The provider’s id</dt>
            <dd>{providerEventId ?? 'none'}</dd>
            <dt>Body{encoding === 'base64' && ', in base64'}</dt>
          </dl>
          <pre tabindex={0}>
            <code>{body}</code>
          </pre>
          <a class="button plain" href={`${visit.base}/${PATH}/${c.req.param('id')}`}>
            Back to the source
          </a>
        </div>,
        { title: type, above: [{ href: `${visit.base}/${PATH}/${c.req.param('id')}`, title: 'Source' }] },
      )
    })
  },
}

const one = (c: ConsoleContext): string => `${API}/${encodeURIComponent(c.req.param('id') ?? '')}`

const givenIn = (form: FormData): Given => ({
  name: field(form, 'name'),
  provider: field(form, 'provider'),
  secret: field(form, 'secret'),
  eventTypes: field(form, 'eventTypes'),
})

/** `invoice.paid = order.paid`, one a line. */
const mappingIn = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => {
        const [from = '', ...to] = line.split('=')
        return [from.trim(), to.join('=').trim()]
      }),
  )

const linesOf = (mapping: Readonly<Record<string, string>>): string =>
  Object.entries(mapping)
    .map(([from, to]) => `${from} = ${to}`)
    .join('\n')

async function list(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<List<Source>>(`${API}${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'webhook-sources:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No sources">
          <p>
            A source is a URL that a third party sends its webhooks to; each genuine one becomes an event.{' '}
            {mayWrite && 'Create the first one below.'}
          </p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Sources" columns={columns(path)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && (
        <section class="panel" aria-labelledby="new">
          <h2 id="new">New source</h2>
          <SourceForm {...{ visit, action: path, given, problem }} verb="Create the source" />
          {Object.entries(SETUP).map(([provider, { title }]) => (
            <details>
              <summary>What to do at {title}</summary>
              <SetUp provider={provider as Provider} />
            </details>
          ))}
        </section>
      )}
    </>,
  )
}

const columns = (path: string) => [
  { title: 'Name', of: ({ id, name }: Source) => <a href={`${path}/${id}`}>{name}</a> },
  { title: 'Provider', of: ({ provider }: Source) => SETUP[provider].title },
  { title: 'Received', number: true, of: ({ received }: Source) => String(received) },
  { title: 'Refused', number: true, of: ({ rejected }: Source) => <Refused count={rejected} /> },
  { title: 'Created', of: ({ createdAt }: Source) => <Time at={createdAt} /> },
]

const Refused = ({ count }: { count: number }): Child =>
  count === 0 ? '0' : <Badge kind="bad">{String(count)}</Badge>

const made = (c: ConsoleContext, { id, url, provider }: Source & { url: string }) =>
  c.var.page(
    <>
      <Secret label="The URL to send to" value={url} />
      <div class="panel">
        <SetUp provider={provider} />
      </div>
      <p>
        <a class="button plain" href={`${c.var.visit.base}/${PATH}/${id}`}>
          To the source
        </a>
      </p>
    </>,
    { title: 'New source' },
  )

async function show(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const [answer, received] = await Promise.all([
    visit.api.get<Source>(one(c)),
    visit.api.get<List<Received>>(`${one(c)}/received${cursorQuery(c)}`),
  ])
  if (!answer.ok) return c.var.refuse(answer)
  if (!received.ok) return c.var.refuse(received)
  const { id, name, provider, eventTypes, rejected, formerSecretUntil } = answer.body
  const action = `${visit.base}/${PATH}/${id}`
  const now = { name, provider, secret: '', eventTypes: linesOf(eventTypes) }
  return c.var.page(
    <>
      <Id id={id} />
      <div class="panel">
        <SetUp provider={provider} />
        {formerSecretUntil && (
          <p class="notice">
            The secret was changed: what the one of before signs is taken until{' '}
            <Time at={formerSecretUntil} />.
          </p>
        )}
        {rejected > 0 && (
          <p class="notice bad">
            {rejected} were refused: their signature did not fit the secret, or they came more than five
            minutes late.
          </p>
        )}
      </div>
      {received.body.data.length === 0 ? (
        <EmptyState title="Nothing received yet">
          <p>Have the provider send a test.</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table
            caption="What came"
            columns={receivedColumns(`${action}/received`)}
            rows={received.body.data}
          />
          <Pager path={action} nextCursor={received.body.nextCursor} />
        </div>
      )}
      {allows(visit.scopes, 'webhook-sources:write') && (
        <>
          <section class="panel" aria-labelledby="change">
            <h2 id="change">Change</h2>
            <SourceForm
              {...{ visit, action, given: given ?? now, problem, now }}
              version={formVersion(c, answer.etag)}
              verb="Save"
            />
          </section>
          <p>
            <a class="button danger plain" href={`${action}/delete`}>
              Delete this source
            </a>
          </p>
        </>
      )}
    </>,
    { title: name },
  )
}

const receivedColumns = (path: string) => [
  {
    title: 'When',
    of: ({ id, receivedAt }: Received) => (
      <a href={`${path}/${id}`}>
        <Time at={receivedAt} />
      </a>
    ),
  },
  { title: 'Type', of: ({ type }: Received) => type },
  { title: 'The provider’s id', of: ({ providerEventId }: Received) => providerEventId ?? '–' },
  { title: 'Bytes', number: true, of: ({ bytes }: Received) => String(bytes) },
]

interface SourceFormProps {
  visit: Visit
  action: string
  given: Given | undefined
  problem: ProblemDetails | undefined
  now?: Given
  /** Of one that is there already: its provider stays. */
  version?: string | undefined
  verb: string
}

const labelled = (given: Given | undefined) =>
  given && { Name: given.name, 'Your own names of types': given.eventTypes }

const SourceForm = ({ visit, action, given, problem, now, version, verb }: SourceFormProps) => (
  <Form visit={visit} action={action}>
    {version !== undefined && <input type="hidden" name="version" value={version} />}
    <FormProblem problem={problem} typed={labelled(given)} now={labelled(now)} />
    <Field
      name="name"
      label="Name"
      value={given?.name}
      error={errorAt(problem, '/name')}
      maxlength={200}
      required
    />
    {version === undefined && (
      <Select
        name="provider"
        label="Provider"
        value={given?.provider}
        error={errorAt(problem, '/provider')}
        options={Object.entries(SETUP).map(([value, { title }]) => ({ value, label: title }))}
      />
    )}
    <SecretField
      name="secret"
      label="Secret"
      typed={given !== undefined && given.secret !== ''}
      hint={
        version === undefined
          ? 'What the provider signs with. It is kept sealed, and never shown.'
          : 'Empty leaves it as it is. After a change, what the one of before signs is taken for a day, too.'
      }
      error={errorAt(problem, '/secret')}
      {...(version === undefined && { required: true })}
    />
    <TextArea
      name="eventTypes"
      label="Your own names of types"
      hint="One a line, such as “invoice.paid = order.paid”; “*” stands for all others."
      value={given?.eventTypes}
      error={errorAt(problem, '/eventTypes')}
      rows={3}
    />
    <button type="submit">{verb}</button>
  </Form>
)
