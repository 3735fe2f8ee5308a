// Webhooks out: where events are sent, what became of each, and how to send again what did not arrive.
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { Api, List } from '../api.ts'
import { Choices, errorAt, Field, Form, Select, TextArea } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Id, Pager, Secret, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import {
  type ConsoleContext,
  cursorQuery,
  daysFromShown,
  field,
  formVersion,
  numberIn,
  type Visit,
} from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Endpoint {
  id: string
  url: string
  description: string | null
  types: ReadonlyArray<string>
  enabled: boolean
  disabled: { reason: keyof typeof REASONS; at: string } | null
  mode: 'parallel' | 'fifo'
  rate: number | null
  headers: ReadonlyArray<string>
  publicKey: string
  failingSince: string | null
  createdAt: string
}

interface Delivery {
  id: string
  endpointId: string
  eventId: string
  type: string
  status: 'pending' | 'delivered' | 'failed'
  createdAt: string
  attemptedAt: string | null
  nextAttemptAt: string | null
}

interface Attempt {
  number: number
  at: string
  durationMs: number | null
  status: number | null
  error: string | null
  answer: string | null
}

interface Missed {
  eventId: string
  type: string
  at: string
  why: string
}

interface Given {
  url: string
  description: string
  types: string
  mode: string
  rate: string
  withoutHeaders: boolean
}

const REASONS = {
  asked: 'It was disabled here.',
  failing: 'It failed for five days.',
  gone: 'It answered 410: gone.',
} as const

/** What an endpoint has missed lately, as far as was looked. */
interface MissedLately {
  within: (typeof LATELY)[number]['within']
  data: ReadonlyArray<Missed>
  /** Whether all of that time was looked at. */
  whole: boolean
}

const PATH = 'webhook-endpoints'
const API = '/v1/webhook-endpoints'
/** Where so much happens that a day can't be looked at, what was missed just now would not be found in it. */
const LATELY = [
  { within: 'day', ms: 86_400_000 },
  { within: 'hour', ms: 3_600_000 },
] as const
/** Pages of events that one of these times is looked for in, and how many that were missed are shown. */
const MISSED_PAGES = 3
const MISSED_SHOWN = 5

export const webhookEndpoints: ConsolePage = {
  path: PATH,
  title: 'Webhooks out',
  scope: 'webhook-endpoints:read',
  messages: {
    changed: 'The endpoint was changed.',
    enabled: 'The endpoint is enabled: what was held for it is being sent.',
    disabled: 'The endpoint is disabled: its events are held.',
    recovering: 'What it missed is being sent again.',
    retried: 'It is being sent again.',
    deleted: 'The endpoint is gone.',
  },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const given = givenIn(form)
      const answer = await visit.api.post<Endpoint & { secret: string }>(API, {
        body: bodyOf(given),
      })
      if (answer.ok) return shownOnce(c, answer.body)
      return c.var.again(answer, () => list(c, given))
    })
    app.get('/deliveries/:delivery', (c) => showDelivery(c))
    app.post('/deliveries/:delivery/retry', async (c) => {
      const delivery = encodeURIComponent(c.req.param('delivery') ?? '')
      const answer = await c.var.visit.api.post<Delivery>(`/v1/deliveries/${delivery}/retry`)
      return answer.ok ? c.var.done(`${PATH}/deliveries/${answer.body.id}`, 'retried') : c.var.refuse(answer)
    })
    app.get('/:id', (c) => show(c))
    app.post('/:id', async (c) => {
      const { visit, form } = c.var
      const given = givenIn(form)
      const ifMatch = field(form, 'version')
      const answer = await visit.api.patch<Endpoint>(one(c), { body: bodyOf(given), ifMatch })
      if (answer.ok) return c.var.done(`${PATH}/${answer.body.id}`, 'changed')
      return c.var.again(answer, () => show(c, given))
    })
    for (const [step, enabled] of [
      ['enable', true],
      ['disable', false],
    ] as const) {
      app.post(`/:id/${step}`, async (c) => {
        const answer = await c.var.visit.api.patch<Endpoint>(one(c), { body: { enabled } })
        return answer.ok ? c.var.done(`${PATH}/${answer.body.id}`, `${step}d`) : c.var.refuse(answer)
      })
    }
    app.post('/:id/test', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.post<Delivery>(`${one(c)}/test`)
      if (!answer.ok) return c.var.refuse(answer)
      return c.redirect(`${visit.base}/${PATH}/deliveries/${answer.body.id}`, 303)
    })
    app.post('/:id/recover', async (c) => {
      const { visit, form } = c.var
      const endpoint = await visit.api.get<Endpoint>(one(c))
      if (!endpoint.ok) return c.var.refuse(endpoint)
      const days = Math.min(90, Math.max(1, Number(field(form, 'days')) || 1))
      const asked = daysFromShown(form, -days)
      // What was before it was made, it has not missed.
      const { createdAt } = endpoint.body
      const since = asked !== '' && asked < createdAt ? createdAt : asked
      const answer = await visit.api.post(`${one(c)}/recover`, { body: { since } })
      return answer.ok ? c.var.done(`${PATH}/${c.req.param('id')}`, 'recovering') : c.var.refuse(answer)
    })
    app.get('/:id/rotate', (c) =>
      asking(c, 'rotate', 'Rotate', (url) => (
        <p>
          Give <strong>{url}</strong> a new secret? The old one signs as well for a day.
        </p>
      )),
    )
    app.post('/:id/rotate', async (c) => {
      const answer = await c.var.visit.api.post<Endpoint & { secret: string }>(`${one(c)}/rotate`, {
        body: {},
      })
      return answer.ok ? shownOnce(c, answer.body) : c.var.refuse(answer)
    })
    app.get('/:id/delete', (c) =>
      asking(c, 'delete', 'Delete', (url) => (
        <p>
          Delete <strong>{url}</strong>, with all that is known of its deliveries?
        </p>
      )),
    )
    app.post('/:id/delete', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'deleted') : c.var.refuse(answer)
    })
  },
}

const one = (c: ConsoleContext): string => `${API}/${encodeURIComponent(c.req.param('id') ?? '')}`

const givenIn = (form: FormData): Given => ({
  url: field(form, 'url'),
  description: field(form, 'description'),
  types: field(form, 'types'),
  mode: field(form, 'mode'),
  rate: field(form, 'rate'),
  withoutHeaders: form.has('headers'),
})

const bodyOf = ({ url, description, types, mode, rate, withoutHeaders }: Given) => ({
  url,
  description: description || null,
  types: types.split(/[\s,]+/).filter((type) => type !== ''),
  mode,
  rate: rate === '' ? null : numberIn(rate),
  ...(withoutHeaders && { headers: {} }),
})

const givenOf = ({ url, description, types, mode, rate }: Endpoint): Given => ({
  url,
  description: description ?? '',
  types: types.join('\n'),
  mode,
  rate: rate === null ? '' : String(rate),
  withoutHeaders: false,
})

async function list(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const [answer, deliveries] = await Promise.all([
    visit.api.get<List<Endpoint>>(`${API}${cursorQuery(c)}`),
    visit.api.get<List<Delivery>>('/v1/deliveries?limit=10'),
  ])
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const path = `${visit.base}/${PATH}`
  const mayWrite = allows(visit.scopes, 'webhook-endpoints:write')
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No endpoints">
          <p>
            Every change is an event, and is sent to the endpoints that want it, signed.{' '}
            {mayWrite && 'Create the first one below.'}
          </p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Endpoints" columns={columns(path)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {deliveries.ok && deliveries.body.data.length > 0 && (
        <div class="panel">
          <Table
            caption="The newest deliveries"
            columns={deliveryColumns(`${path}/deliveries`)}
            rows={deliveries.body.data}
          />
        </div>
      )}
      {mayWrite && (
        <section class="panel" aria-labelledby="new">
          <h2 id="new">New endpoint</h2>
          <EndpointForm {...{ visit, action: path, given, problem }} verb="Create the endpoint" />
        </section>
      )}
    </>,
  )
}

const columns = (path: string) => [
  { title: 'URL', of: ({ id, url }: Endpoint) => <a href={`${path}/${id}`}>{url}</a> },
  { title: 'Gets', of: ({ types }: Endpoint) => (types.length === 0 ? 'everything' : types.join(', ')) },
  { title: 'Status', of: (endpoint: Endpoint) => <Status endpoint={endpoint} /> },
]

const Status = ({ endpoint: { enabled, failingSince } }: { endpoint: Endpoint }) =>
  !enabled ? (
    <Badge kind="bad">disabled</Badge>
  ) : failingSince !== null ? (
    <Badge kind="bad">failing</Badge>
  ) : (
    <Badge kind="good">enabled</Badge>
  )

const deliveryColumns = (path: string) => [
  {
    title: 'When',
    of: ({ id, createdAt }: Delivery) => (
      <a href={`${path}/${id}`}>
        <Time at={createdAt} />
      </a>
    ),
  },
  { title: 'Event', of: ({ type }: Delivery) => type },
  { title: 'Status', of: ({ status }: Delivery) => <DeliveryStatus status={status} /> },
  { title: 'Last tried', of: ({ attemptedAt }: Delivery) => <Time at={attemptedAt} /> },
  {
    title: 'Next try',
    of: ({ nextAttemptAt }: Delivery) => (nextAttemptAt === null ? '–' : <Time at={nextAttemptAt} />),
  },
]

const DeliveryStatus = ({ status }: Pick<Delivery, 'status'>) => (
  <Badge {...(status === 'delivered' ? { kind: 'good' } : status === 'failed' ? { kind: 'bad' } : {})}>
    {status}
  </Badge>
)

const shownOnce = (c: ConsoleContext, { id, secret, publicKey }: Endpoint & { secret: string }) =>
  c.var.page(
    <>
      <Secret label="The secret that deliveries are signed with" value={secret} />
      <div class="panel">
        <p>
          Any library of Standard Webhooks checks with it. Whoever would rather check with a public key takes{' '}
          <code>{publicKey}</code>.
        </p>
        <a class="button plain" href={`${c.var.visit.base}/${PATH}/${id}`}>
          To the endpoint
        </a>
      </div>
    </>,
    { title: 'The endpoint’s secret' },
  )

async function show(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<Endpoint>(one(c))
  if (!answer.ok) return c.var.refuse(answer)
  const endpoint = answer.body
  const now = givenOf(endpoint)
  const [deliveries, missed] = await Promise.all([
    visit.api.get<List<Delivery>>(`/v1/deliveries?endpoint=${endpoint.id}${cursorQuery(c, '&')}`),
    missedLately(visit.api, endpoint),
  ])
  if (!deliveries.ok) return c.var.refuse(deliveries)
  const path = `${visit.base}/${PATH}`
  const action = `${path}/${endpoint.id}`
  const mayWrite = allows(visit.scopes, 'webhook-endpoints:write')
  const mayRecover = mayWrite && endpoint.enabled
  return c.var.page(
    <>
      <Id id={endpoint.id} />
      <div class="panel">
        <p>
          <Status endpoint={endpoint} />{' '}
          {endpoint.disabled && `${REASONS[endpoint.disabled.reason]} Its events are held.`}
          {endpoint.enabled && endpoint.failingSince && (
            <>
              No success since <Time at={endpoint.failingSince} />. After five days it is disabled.
            </>
          )}
        </p>
        {mayWrite && (
          <div class="actions">
            <Form visit={visit} action={`${action}/test`}>
              <button type="submit">Send a test</button>
            </Form>
            <Form visit={visit} action={`${action}/${endpoint.enabled ? 'disable' : 'enable'}`}>
              <button class="plain" type="submit">
                {endpoint.enabled ? 'Disable' : 'Enable'}
              </button>
            </Form>
            <a class="button plain" href={`${action}/rotate`}>
              Rotate the secret
            </a>
          </div>
        )}
      </div>
      {deliveries.body.data.length === 0 ? (
        <EmptyState title="Nothing sent yet">
          <p>
            {endpoint.enabled
              ? 'The next event that it wants is sent at once.'
              : 'What it wants is sent once it is enabled.'}{' '}
            A test can be sent now.
          </p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table
            caption="Deliveries, newest first"
            columns={deliveryColumns(`${path}/deliveries`)}
            rows={deliveries.body.data}
          />
          <Pager path={action} nextCursor={deliveries.body.nextCursor} />
        </div>
      )}
      {missed && (mayRecover || missed.data.length > 0 || !missed.whole) && (
        <section class="panel" aria-labelledby="missed">
          <h2 id="missed">Missed</h2>
          {missed.data.length > 0 && (
            <Table
              caption={`Of the last ${missed.within}: events that it wants and has not got`}
              columns={MISSED}
              rows={missed.data}
            />
          )}
          {missed.whole && missed.data.length === 0 && <p>Nothing in the last {missed.within}.</p>}
          {!missed.whole && (
            <p>Only the oldest events of the last {missed.within} were looked at: there may be more.</p>
          )}
          {mayRecover && (
            <Form visit={visit} action={`${action}/recover`}>
              <Select
                name="days"
                label="Send again what it missed in"
                options={[
                  { value: '1', label: 'the last day' },
                  { value: '7', label: 'the last 7 days' },
                  { value: '30', label: 'the last 30 days' },
                ]}
              />
              <button type="submit">Recover</button>
            </Form>
          )}
        </section>
      )}
      {mayWrite && (
        <>
          <section class="panel" aria-labelledby="change">
            <h2 id="change">Change</h2>
            <EndpointForm
              {...{ visit, action, given: given ?? now, problem, now }}
              headers={endpoint.headers}
              version={formVersion(c, answer.etag)}
              verb="Save"
            />
          </section>
          <p>
            <a class="button danger plain" href={`${action}/delete`}>
              Delete this endpoint
            </a>
          </p>
        </>
      )}
    </>,
    { title: endpoint.description ?? endpoint.url },
  )
}

/** What was before it was made, it has not missed. @returns undefined where that cannot be told now */
async function missedLately(api: Api, { id, createdAt }: Endpoint): Promise<MissedLately | undefined> {
  let lately: MissedLately | undefined
  for (const { within, ms } of LATELY) {
    const since = new Date(Math.max(Date.parse(createdAt), Date.now() - ms)).toISOString()
    const data: Missed[] = []
    let cursor: string | null = ''
    for (let page = 0; page < MISSED_PAGES && data.length < MISSED_SHOWN && cursor !== null; page++) {
      const after: string = cursor && `&cursor=${encodeURIComponent(cursor)}`
      const path = `${API}/${id}/missed?limit=${MISSED_SHOWN}&since=${since}${after}`
      const answer = await api.get<List<Missed>>(path)
      if (!answer.ok) return lately
      data.push(...answer.body.data)
      cursor = answer.body.nextCursor
    }
    lately = { within, data, whole: cursor === null }
    if (lately.whole || data.length > 0) break
  }
  return lately
}

const MISSED = [
  { title: 'When', of: ({ at }: Missed) => <Time at={at} /> },
  { title: 'Event', of: ({ type }: Missed) => type },
  { title: 'Why', of: ({ why }: Missed) => why.replace('_', ' ') },
]

async function showDelivery(c: ConsoleContext) {
  const { visit } = c.var
  const delivery = encodeURIComponent(c.req.param('delivery') ?? '')
  const answer = await visit.api.get<Delivery & { attempts: ReadonlyArray<Attempt> }>(
    `/v1/deliveries/${delivery}`,
  )
  if (!answer.ok) return c.var.refuse(answer)
  const { id, endpointId, eventId, type, status, nextAttemptAt, attempts } = answer.body
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      <div class="panel">
        <dl>
          <dt>Event</dt>
          <dd>
            {type} <code>{eventId}</code>
          </dd>
          <dt>Status</dt>
          <dd>
            <DeliveryStatus status={status} />
          </dd>
          {nextAttemptAt !== null && (
            <>
              <dt>Next try</dt>
              <dd>
                <Time at={nextAttemptAt} />
              </dd>
            </>
          )}
        </dl>
        <div class="actions">
          {allows(visit.scopes, 'webhook-endpoints:write') && (
            <Form visit={visit} action={`${path}/deliveries/${id}/retry`}>
              <button type="submit">Send it again</button>
            </Form>
          )}
          <a class="button plain" href={`${path}/${endpointId}`}>
            To the endpoint
          </a>
        </div>
      </div>
      {attempts.length === 0 ? (
        <EmptyState title="Not tried yet">
          <p>Load this page again in a moment.</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Attempts" columns={ATTEMPTS} rows={attempts} />
        </div>
      )}
    </>,
    { title: 'Delivery', above: [{ href: `${path}/${endpointId}`, title: 'Endpoint' }] },
  )
}

const ATTEMPTS = [
  { title: 'Attempt', of: ({ number }: Attempt) => String(number) },
  { title: 'When', of: ({ at }: Attempt) => <Time at={at} exact /> },
  {
    title: 'Took',
    number: true,
    of: ({ durationMs }: Attempt) => (durationMs === null ? '–' : `${durationMs} ms`),
  },
  { title: 'Outcome', of: ({ status, error }: Attempt) => String(status ?? error ?? '–').replace('_', ' ') },
  {
    title: 'Response',
    of: ({ answer }: Attempt) =>
      answer === null || answer === '' ? '–' : <code class="text">{answer}</code>,
  },
]

async function asking(
  c: ConsoleContext,
  step: string,
  verb: string,
  question: (url: string) => ReturnType<typeof Confirm>,
) {
  const { visit } = c.var
  const answer = await visit.api.get<Endpoint>(one(c))
  if (!answer.ok) return c.var.refuse(answer)
  const back = `${visit.base}/${PATH}/${answer.body.id}`
  return c.var.page(
    <Confirm visit={visit} action={`${back}/${step}`} verb={verb} back={back}>
      {question(answer.body.url)}
    </Confirm>,
    { title: `${verb} an endpoint` },
  )
}

interface EndpointFormProps {
  visit: Visit
  action: string
  given: Given | undefined
  problem: ProblemDetails | undefined
  now?: Given
  /** The names of those that it sends. */
  headers?: ReadonlyArray<string>
  version?: string | undefined
  verb: string
}

const WITHOUT_HEADERS = 'Send none of them any more'

const labelled = (given: Given | undefined) =>
  given && {
    URL: given.url,
    Description: given.description,
    'Types of events': given.types,
    Order: ORDERS.find(({ value }) => value === given.mode)?.label ?? given.mode,
    'Deliveries a second, at most': given.rate,
  }

const ORDERS = [
  { value: 'parallel', label: 'Side by side: one that fails keeps no other waiting' },
  { value: 'fifo', label: 'One after the other, in the order of the events' },
]

const EndpointForm = ({
  visit,
  action,
  given,
  problem,
  now,
  headers = [],
  version,
  verb,
}: EndpointFormProps) => (
  <Form visit={visit} action={action}>
    {version !== undefined && <input type="hidden" name="version" value={version} />}
    <FormProblem problem={problem} typed={labelled(given)} now={labelled(now)} />
    <Field
      name="url"
      label="URL"
      hint="https, of a public host."
      value={given?.url}
      error={errorAt(problem, '/url')}
      maxlength={2048}
      required
    />
    <Field
      name="description"
      label="Description"
      value={given?.description}
      error={errorAt(problem, '/description')}
      maxlength={500}
    />
    <TextArea
      name="types"
      label="Types of events"
      hint="One a line, such as “project.*” or “record.created”. None are all."
      value={given?.types}
      error={errorAt(problem, '/types')}
      rows={3}
    />
    <Select
      name="mode"
      label="Order"
      value={given?.mode}
      error={errorAt(problem, '/mode')}
      options={ORDERS}
    />
    <Field
      name="rate"
      label="Deliveries a second, at most"
      hint="Empty is no limit."
      value={given?.rate}
      error={errorAt(problem, '/rate')}
    />
    {headers.length > 0 && (
      <Choices
        name="headers"
        legend={`Headers: ${headers.join(', ')}`}
        hint="Their values are not shown, and go to no other host: where the URL changes to one, the API takes new ones with it."
        values={given?.withoutHeaders ? [WITHOUT_HEADERS] : []}
        options={[WITHOUT_HEADERS]}
        error={errorAt(problem, '/headers')}
      />
    )}
    <button type="submit">{verb}</button>
  </Form>
)
