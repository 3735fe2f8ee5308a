// Tenants, as an operator sees them: made, looked at, suspended, moved to another plan, erased.
import type { Context, Hono } from 'hono'
import type { ErasureShown } from '../../../shared/edge_calls.ts'
import { PLAN_NAMES } from '../../../shared/plans.ts'
import type { ProblemDetails } from '../../../shared/problems.ts'
import type { List, Refused } from '../api.ts'
import { Erasure } from '../parts/erasure.tsx'
import { errorAt, Field, Form, Select } from '../parts/form.tsx'
import { Badge, EmptyState, Pager, Secret, Table, Time } from '../parts/list.tsx'
import { IsolationNotice, Quotas, type Standing } from '../parts/quotas.tsx'
import { FormProblem } from '../respond.tsx'
import { cursorQuery, field, formVersion } from '../visit.ts'
import { BASE, type OperatorTypes, type OperatorVisit } from './visit.ts'

interface Tenant {
  id: string
  slug: string
  name: string
  region: string
  plan: string
  status: 'active' | 'suspended' | 'erasing'
  createdAt: string
  /** Request units of today and yesterday, where they are in that order. */
  cost?: number
}

interface TenantList extends List<Tenant> {
  unreachable: ReadonlyArray<string>
}

interface Created {
  tenant: Tenant
  apiKey: { key: string }
  adminLink: { url: string; expiresAt: string }
}

type Given = Record<(typeof GIVEN)[number], string>
/** What a tenant is changed by. */
type Changed = Pick<Tenant, 'name' | 'plan'>

interface OwnersLink {
  url: string
  expiresAt: string
  email: string | null
}

const GIVEN = ['slug', 'name', 'region', 'plan', 'email'] as const
const MESSAGES: Readonly<Record<string, string>> = {
  saved: 'The tenant was changed.',
  suspended: 'The tenant is suspended: nobody is let in.',
  active: 'The tenant is active.',
  erasing: 'The tenant is shut, and being erased.',
}

type OperatorContext = Context<OperatorTypes>

export function tenantPages(app: Hono<OperatorTypes>): void {
  app.get('/', (c) => list(c))
  app.post('/', async (c) => {
    const { visit, form } = c.var
    const given = Object.fromEntries(GIVEN.map((name) => [name, field(form, name)])) as Given
    const { email, ...rest } = given
    const answer = await visit.api.post<Created>('/platform/v1/tenants', {
      body: { ...rest, owner: { email } },
      idempotencyKey: field(form, 'once'),
    })
    if (answer.ok) return made(c, answer.body)
    return c.var.again(answer, () => list(c, given))
  })
  app.get('/tenants/:id', (c) => show(c))
  app.post('/tenants/:id', async (c) => {
    const { visit, form } = c.var
    const changed = { name: field(form, 'name'), plan: field(form, 'plan') }
    const [idempotencyKey, ifMatch] = [field(form, 'once'), field(form, 'version')]
    const answer = await visit.api.patch<Tenant>(one(c), { body: changed, idempotencyKey, ifMatch })
    if (!answer.ok) return c.var.again(answer, () => show(c, { changed }))
    return c.redirect(`${BASE}/tenants/${answer.body.id}?done=saved`, 303)
  })
  // Whatever the tenant has changed of itself meanwhile: nobody puts off being suspended.
  app.post('/tenants/:id/status', async (c) => {
    const { visit, form } = c.var
    const body = { status: field(form, 'status') }
    const answer = await visit.api.patch<Tenant>(one(c), { body, idempotencyKey: field(form, 'once') })
    if (!answer.ok) return c.var.refuse(answer)
    return c.redirect(`${BASE}/tenants/${answer.body.id}?done=${answer.body.status}`, 303)
  })
  app.post('/tenants/:id/link', async (c) => {
    const { visit, form } = c.var
    const answer = await visit.api.post<OwnersLink>(`${one(c)}/admin-links`, {
      body: {},
      idempotencyKey: field(form, 'once'),
    })
    return answer.ok ? linked(c, answer.body) : c.var.refuse(answer)
  })
  app.post('/tenants/:id/erase', async (c) => {
    const { visit, form } = c.var
    const tenant = await visit.api.get<Tenant>(one(c))
    if (!tenant.ok) return c.var.refuse(tenant)
    if (field(form, 'confirm') !== tenant.body.slug)
      return show(c, { error: `Type ${tenant.body.slug}, as it stands above.` })
    const answer = await visit.api.delete(one(c))
    return answer.ok
      ? c.redirect(`${BASE}/tenants/${tenant.body.id}/erasure?done=erasing`, 303)
      : c.var.refuse(answer)
  })
  app.get('/tenants/:id/erasure', (c) => showErasure(c))
}

const one = (c: OperatorContext): string =>
  `/platform/v1/tenants/${encodeURIComponent(c.req.param('id') ?? '')}`

const flashOf = (c: OperatorContext): string | undefined => {
  const word = c.req.query('done') ?? ''
  return Object.hasOwn(MESSAGES, word) ? MESSAGES[word] : undefined
}

const NO_TENANTS: TenantList = { data: [], nextCursor: null, unreachable: [] }

async function list(c: OperatorContext, given?: Given) {
  const { visit } = c.var
  const byCost = c.req.query('order') === 'cost'
  const wanted = (c.req.query('find') ?? '').trim().toLowerCase()
  const filter = byCost ? '?order=cost' : wanted === '' ? '' : `?slug=${encodeURIComponent(wanted)}`
  const found = async (filter: string): Promise<TenantList | Refused> => {
    const answer = await visit.api.get<TenantList>(`/platform/v1/tenants${filter}`)
    if (answer.ok) return answer.body
    // No slug begins so, and nobody has such a number.
    return answer.problem.code === 'malformed_request' ? NO_TENANTS : answer
  }
  const [answer, named] = await Promise.all([
    found(filter + cursorQuery(c, filter === '' ? '?' : '&')),
    /^\d+$/.test(wanted) && !c.req.query('cursor') ? found(`?number=${wanted}`) : NO_TENANTS,
  ])
  if ('problem' in answer) return c.var.refuse(answer)
  if ('problem' in named) return c.var.refuse(named)
  const { nextCursor } = answer
  // One's slug may begin with its own number.
  const others = answer.data.filter(({ id }) => named.data.every((tenant) => tenant.id !== id))
  const tenants = [...named.data, ...others]
  const unreachable = [...new Set([...named.unreachable, ...answer.unreachable])]
  return c.var.page(
    'Tenants',
    <>
      <Search wanted={wanted} byCost={byCost} />
      {unreachable.length > 0 && (
        <div class="notice bad" role="status">
          <p>No answer from {unreachable.join(', ')}: tenants who live there are not shown.</p>
        </div>
      )}
      {tenants.length === 0 && nextCursor === null ? (
        unreachable.length === 0 && <None wanted={wanted} />
      ) : (
        <div class="panel">
          <Table
            caption={byCost ? 'By what they cost, today and yesterday' : 'In the order that they were made'}
            columns={byCost ? [...COLUMNS, COST] : COLUMNS}
            rows={tenants}
          />
          <Pager path={`${BASE}/${pageQuery(byCost, wanted)}`} nextCursor={nextCursor} />
        </div>
      )}
      {visit.role === 'admin' && <NewTenant visit={visit} given={given} problem={c.var.problem} />}
    </>,
    { flash: flashOf(c) },
  )
}

const None = ({ wanted }: { wanted: string }) =>
  wanted === '' ? (
    <EmptyState title="No tenants">
      <p>Create the first one below: it is live at once.</p>
    </EmptyState>
  ) : (
    <EmptyState title="None found">
      <p>No tenant’s slug begins with {wanted}, and none has it for its number.</p>
    </EmptyState>
  )

const pageQuery = (byCost: boolean, wanted: string): string =>
  byCost ? '?order=cost' : wanted === '' ? '' : `?find=${encodeURIComponent(wanted)}`

const Search = ({ wanted, byCost }: { wanted: string; byCost: boolean }) => (
  <form class="stack panel" method="get" action={`${BASE}/`}>
    <Field
      name="find"
      label="Find tenants"
      hint="The beginning of their name in addresses, or the number that the log and the metrics name one by."
      type="search"
      value={wanted}
      maxlength={63}
    />
    <div class="actions">
      <button type="submit">Find</button>
      <a class="button plain" href={byCost ? `${BASE}/` : `${BASE}/?order=cost`}>
        {byCost ? 'Order by age' : 'Order by cost'}
      </a>
    </div>
  </form>
)

const COST = { title: 'Request units', number: true, of: ({ cost }: Tenant) => String(cost ?? 0) }
const COLUMNS = [
  { title: 'Slug', of: ({ id, slug }: Tenant) => <a href={`${BASE}/tenants/${id}`}>{slug}</a> },
  { title: 'Name', of: ({ name }: Tenant) => name },
  { title: 'Region', of: ({ region }: Tenant) => region },
  { title: 'Plan', of: ({ plan }: Tenant) => plan },
  {
    title: 'Status',
    of: ({ status }: Tenant) => <Badge kind={status === 'active' ? 'good' : 'bad'}>{status}</Badge>,
  },
  { title: 'Since', of: ({ createdAt }: Tenant) => <Time at={createdAt} /> },
]

interface NewTenantProps {
  visit: OperatorVisit
  given: Given | undefined
  problem: ProblemDetails | undefined
}

function NewTenant({ visit, given, problem }: NewTenantProps) {
  const taken = problem?.code === 'slug_taken' ? problem.detail : undefined
  return (
    <section class="panel" aria-labelledby="new">
      <h2 id="new">New tenant</h2>
      <Form visit={visit} action={`${BASE}/`}>
        {taken === undefined && <FormProblem problem={problem} />}
        <Field
          name="slug"
          label="Slug"
          hint="Its name in addresses: small letters, digits and hyphens, such as acme."
          value={given?.slug}
          error={taken ?? errorAt(problem, '/slug')}
          maxlength={63}
          required
        />
        <Field name="name" label="Name" value={given?.name} error={errorAt(problem, '/name')} required />
        <Field
          name="email"
          label="Owner’s e-mail address"
          type="email"
          value={given?.email}
          error={errorAt(problem, '/owner/email')}
          required
        />
        <Select
          name="region"
          label="Region"
          value={given?.region}
          error={errorAt(problem, '/region')}
          options={visit.regions}
        />
        <Select
          name="plan"
          label="Plan"
          value={given?.plan}
          error={errorAt(problem, '/plan')}
          options={PLAN_NAMES}
        />
        <button type="submit">Create the tenant</button>
      </Form>
    </section>
  )
}

async function showErasure(c: OperatorContext) {
  const answer = await c.var.visit.api.get<ErasureShown>(`${one(c)}/erasure`)
  const isPart = c.req.query('part') === 'progress'
  // Without an answer the page stays as it is.
  if (!answer.ok) return isPart ? c.body(null, 204) : c.var.refuse(answer)
  const id = c.req.param('id') ?? ''
  const part = <Erasure erasure={answer.body} path={`${BASE}/tenants/${id}/erasure`} />
  if (isPart) return c.html(part)
  return c.var.page(
    'Erasure',
    <>
      <p>
        <code>{id}</code>
      </p>
      {part}
    </>,
    { flash: flashOf(c), live: true },
  )
}

const made = (c: OperatorContext, { tenant, apiKey, adminLink }: Created) =>
  c.var.page(
    'New tenant',
    <>
      <p class="flash" role="status">
        <strong>{tenant.name}</strong> is live in {tenant.region}.
      </p>
      <Secret label="The owner’s link into the console" value={adminLink.url} />
      <p>
        It works once, until <Time at={adminLink.expiresAt} />. A new one can be made on the tenant’s page.
      </p>
      <details class="panel">
        <summary>The first API key</summary>
        <p>
          <code>{apiKey.key}</code>
        </p>
      </details>
      <p>
        <a class="button plain" href={`${BASE}/`}>
          Back to all tenants
        </a>
      </p>
    </>,
  )

const linked = (c: OperatorContext, { url, expiresAt, email }: OwnersLink) =>
  c.var.page(
    'A link for the owner',
    <>
      <Secret label={`The link into the console for ${email ?? 'the owner'}`} value={url} />
      <p>
        It works once, until <Time at={expiresAt} />. Whoever has it is an owner: send it to nobody else.
      </p>
      <p>
        <a class="button plain" href={`${BASE}/tenants/${encodeURIComponent(c.req.param('id') ?? '')}`}>
          Back to the tenant
        </a>
      </p>
    </>,
  )

const Suspension = ({ visit, action, status }: { visit: OperatorVisit; action: string; status: string }) => {
  const isActive = status === 'active'
  return (
    <section class="panel" aria-labelledby="standing">
      <h2 id="standing">{isActive ? 'Suspend' : 'Resume'}</h2>
      <p>A suspended tenant lets nobody in, from that moment on, and loses nothing.</p>
      <Form visit={visit} action={action}>
        <input type="hidden" name="status" value={isActive ? 'suspended' : 'active'} />
        <button class={isActive ? 'danger' : undefined} type="submit">
          {isActive ? 'Suspend the tenant' : 'Let it in again'}
        </button>
      </Form>
    </section>
  )
}

interface Typed {
  changed?: Changed
  /** What is wrong with the question before an erasure. */
  error?: string
}

const labelled = ({ name, plan }: Changed) => ({ Name: name, Plan: plan })

async function show(c: OperatorContext, { changed, error }: Typed = {}) {
  const { visit, problem } = c.var
  const [answer, usage] = await Promise.all([
    visit.api.get<Tenant>(one(c)),
    visit.api.get<Standing>(`${one(c)}/usage`),
  ])
  if (!answer.ok) return c.var.refuse(answer)
  const { id, slug, name, region, plan, status, createdAt } = answer.body
  const path = `${BASE}/tenants/${id}`
  return c.var.page(
    name,
    <>
      {usage.ok && <IsolationNotice isolation={usage.body.isolation} />}
      <div class="panel">
        <dl>
          <dt>Id</dt>
          <dd>
            <code>{id}</code>
          </dd>
          <dt>Slug</dt>
          <dd>{slug}</dd>
          <dt>Region</dt>
          <dd>{region}</dd>
          <dt>Since</dt>
          <dd>
            <Time at={createdAt} />
          </dd>
          <dt>Status</dt>
          <dd>
            <Badge kind={status === 'active' ? 'good' : 'bad'}>{status}</Badge>
          </dd>
        </dl>
        {status === 'erasing' && (
          <a class="button plain" href={`${path}/erasure`}>
            How far the erasure is
          </a>
        )}
      </div>
      {usage.ok && (
        <section class="panel" aria-labelledby="quotas">
          <h2 id="quotas">Of what the plan allows</h2>
          <Quotas quotas={usage.body.quotas} />
        </section>
      )}
      {visit.role === 'admin' && status !== 'erasing' && (
        <>
          <section class="panel" aria-labelledby="change">
            <h2 id="change">Change</h2>
            <Form visit={visit} action={path}>
              <input type="hidden" name="version" value={formVersion(c, answer.etag)} />
              <FormProblem
                problem={problem}
                typed={labelled(changed ?? answer.body)}
                now={labelled(answer.body)}
              />
              <Field
                name="name"
                label="Name"
                value={changed?.name ?? name}
                error={errorAt(problem, '/name')}
                required
              />
              <Select
                name="plan"
                label="Plan"
                value={changed?.plan ?? plan}
                error={errorAt(problem, '/plan')}
                options={PLAN_NAMES}
              />
              <button type="submit">Save</button>
            </Form>
          </section>
          {status === 'active' && (
            <section class="panel" aria-labelledby="link">
              <h2 id="link">A way in for the owner</h2>
              <p>
                For an owner who has lost the first link, and has no other way in. The organisation’s audit
                log says that you made it.
              </p>
              <Form visit={visit} action={`${path}/link`}>
                <button type="submit">Make a link</button>
              </Form>
            </section>
          )}
          <Suspension visit={visit} action={`${path}/status`} status={status} />
          <section class="panel" aria-labelledby="erase">
            <h2 id="erase">Erase</h2>
            <p>Everything of this tenant goes. Nobody can undo it.</p>
            <Form visit={visit} action={`${path}/erase`}>
              <Field
                name="confirm"
                label={`To go on, type ${slug}`}
                autocomplete="off"
                error={error}
                required
              />
              <button class="danger" type="submit">
                Erase everything
              </button>
            </Form>
          </section>
        </>
      )}
    </>,
    { ...(error && { status: 422 }), flash: flashOf(c) },
  )
}
