// What lies in a project: its collections, and their records, searched by an index and edited as JSON. Part of the page
// of projects.
import type { Hono } from 'hono'
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { Field, Form, TextArea } from '../parts/form.tsx'
import { EmptyState, Pager, Table, Time } from '../parts/list.tsx'
import { Advice } from '../respond.tsx'
import { type ConsoleContext, type ConsoleTypes, field, type Visit } from '../visit.ts'

interface Collection {
  name: string
  records: number
  indexes: ReadonlyArray<{
    fields: ReadonlyArray<{ field: string; type: string }>
    unique: boolean
    state: string
  }>
}

interface Stored {
  id: string
  data: Record<string, unknown>
  updatedAt: string
}

const PREVIEW = 140

export function collectionRoutes(app: Hono<ConsoleTypes>): void {
  app.get('/:id/collections/:name', (c) => browse(c))
  app.get('/:id/collections/:name/new', (c) => edit(c, { text: '{\n  \n}' }))
  app.post('/:id/collections/:name/new', async (c) => {
    const { visit, form } = c.var
    const text = field(form, 'data')
    const data = parse(text)
    if (data === undefined) return edit(c, { text, error: NOT_JSON })
    const answer = await visit.api.post<Stored>(`${apiPath(c)}/records`, {
      body: { data },
      idempotencyKey: field(form, 'once'),
    })
    if (answer.ok) return c.redirect(`${path(c)}`, 303)
    return answer.status === 422 ? edit(c, { text, problem: answer.problem }) : c.var.refuse(answer)
  })
  app.get('/:id/collections/:name/:record', async (c) => {
    const answer = await c.var.visit.api.get<Stored>(recordPath(c))
    if (!answer.ok) return c.var.refuse(answer)
    return edit(c, { text: JSON.stringify(answer.body.data, null, 2), version: answer.etag })
  })
  app.post('/:id/collections/:name/:record', async (c) => {
    const { visit, form } = c.var
    const [text, version] = [field(form, 'data'), field(form, 'version')]
    const data = parse(text)
    if (data === undefined) return edit(c, { text, version, error: NOT_JSON })
    const answer = await visit.api.put<Stored>(recordPath(c), { body: { data }, ifMatch: version })
    if (answer.ok) return c.redirect(path(c), 303)
    return answer.status === 422 ? edit(c, { text, version, problem: answer.problem }) : c.var.refuse(answer)
  })
  app.post('/:id/collections/:name/:record/delete', async (c) => {
    const ifMatch = field(c.var.form, 'version')
    const answer = await c.var.visit.api.delete(recordPath(c), { ifMatch })
    return answer.ok ? c.redirect(path(c), 303) : c.var.refuse(answer)
  })
}

const NOT_JSON = 'This is not a JSON object.'

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const part = (c: ConsoleContext, name: string): string => encodeURIComponent(c.req.param(name) ?? '')
const below = (c: ConsoleContext): string => `projects/${part(c, 'id')}/collections/${part(c, 'name')}`
/** Of the console. */
const path = (c: ConsoleContext): string => `${c.var.visit.base}/${below(c)}`
const apiPath = (c: ConsoleContext): string => `/v1/${below(c)}`
const recordPath = (c: ConsoleContext): string => `${apiPath(c)}/records/${part(c, 'record')}`

/** The project's collections, on its own page. */
export async function Collections({ visit, project }: { visit: Visit; project: string }) {
  if (!allows(visit.scopes, 'collections:read')) return null
  const answer = await visit.api.get<List<Collection>>(`/v1/projects/${project}/collections?limit=100`)
  if (!answer.ok) return <Advice refused={answer} />
  const base = `${visit.base}/projects/${project}/collections`
  return (
    <section class="panel" aria-labelledby="collections">
      <h2 id="collections">Collections</h2>
      {answer.body.data.length === 0 ? (
        <p>None yet. The first record of a collection makes it.</p>
      ) : (
        <Table
          caption="By name"
          columns={[
            { title: 'Name', of: ({ name }: Collection) => <a href={`${base}/${name}`}>{name}</a> },
            { title: 'Records', number: true, of: ({ records }: Collection) => String(records) },
            {
              title: 'Indexes',
              of: ({ indexes }: Collection) =>
                indexes.map(({ fields }) => fields.map((each) => each.field).join(' + ')).join(', '),
            },
          ]}
          rows={answer.body.data}
        />
      )}
    </section>
  )
}

async function browse(c: ConsoleContext) {
  const { visit } = c.var
  const [where, is, order] = ['where', 'is', 'order'].map((name) => c.req.query(name)?.trim() ?? '') as [
    string,
    string,
    string,
  ]
  const query = new URLSearchParams({
    ...(where && { [`where[${where}]`]: is }),
    ...(order && { order }),
    ...(c.req.query('cursor') && { cursor: c.req.query('cursor') ?? '' }),
  })
  const answer = await visit.api.get<List<Stored>>(`${apiPath(c)}/records?${query}`)
  const self = path(c)
  const title = c.req.param('name') ?? ''
  const search = (
    <form class="stack" method="get" action={self}>
      <div class="panels">
        <Field name="where" label="Field" hint="One that an index begins with" value={where} />
        <Field name="is" label="is" value={is} />
        <Field name="order" label="In the order of" hint="A field; -field for the last first" value={order} />
      </div>
      <button type="submit">Search</button>
    </form>
  )
  if (!answer.ok) {
    // What no index answers is told with the search that asked for it.
    return c.var.page(
      <>
        <Advice refused={answer} />
        <div class="panel">{search}</div>
      </>,
      { title, status: answer.status },
    )
  }
  const kept = new URLSearchParams({ ...(where && { where, is }), ...(order && { order }) })
  return c.var.page(
    <>
      <div class="panel">{search}</div>
      {answer.body.data.length === 0 ? (
        <EmptyState title="No records">
          <p>Nothing fits, or there is nothing here yet.</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table
            caption="Records"
            columns={[
              { title: 'Id', of: ({ id }: Stored) => <a href={`${self}/${id}`}>{id}</a> },
              { title: 'Document', of: ({ data }: Stored) => <code>{preview(data)}</code> },
              { title: 'Changed', of: ({ updatedAt }: Stored) => <Time at={updatedAt} /> },
            ]}
            rows={answer.body.data}
          />
          <Pager path={`${self}?${kept}`} nextCursor={answer.body.nextCursor} />
        </div>
      )}
      {allows(visit.scopes, 'records:write') && (
        <a class="button" href={`${self}/new`}>
          New record
        </a>
      )}
    </>,
    { title },
  )
}

function preview(data: Record<string, unknown>): string {
  const text = JSON.stringify(data)
  return text.length <= PREVIEW ? text : `${text.slice(0, PREVIEW)}…`
}

interface Editing {
  text: string
  version?: string | undefined
  error?: string
  problem?: ProblemDetails
}

/** A record as JSON. What the API finds wrong with it stands below it, with where it is. */
function edit(c: ConsoleContext, { text, version, error, problem }: Editing) {
  const { visit } = c.var
  const record = c.req.param('record')
  const self = record === undefined ? `${path(c)}/new` : `${path(c)}/${part(c, 'record')}`
  const mayWrite = allows(visit.scopes, 'records:write')
  const wrong =
    error ??
    (problem &&
      (problem.errors
        ?.map(({ pointer, detail }) => `${pointer.replace(/^\/data/, '') || 'the document'}: ${detail}`)
        .join('; ') ??
        problem.detail))
  return c.var.page(
    <>
      <div class="panel">
        <Form visit={visit} action={self}>
          {version !== undefined && <input type="hidden" name="version" value={version} />}
          <TextArea name="data" label="Document (JSON)" value={text} rows={18} error={wrong} />
          {mayWrite && <button type="submit">Save</button>}
        </Form>
      </div>
      {mayWrite && record !== undefined && (
        <div class="panel">
          <Form visit={visit} action={`${self}/delete`}>
            <input type="hidden" name="version" value={version} />
            <button class="danger" type="submit">
              Delete this record
            </button>
          </Form>
        </div>
      )}
    </>,
    { title: record ?? 'New record', status: wrong === undefined ? 200 : 422 },
  )
}
