// What lies in a project: its collections, and their records, searched by an index and edited as JSON. Part of the page
// of projects.
import type { Hono } from 'hono'
import { utf8 } from '../../../shared/bytes.ts'
import { MAX_BODY_BYTES } from '../../../shared/headers.ts'
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { errorAt, Field, Form, TextArea } from '../parts/form.tsx'
import { Confirm, EmptyState, Pager, Table, Time } from '../parts/list.tsx'
import { Advice, FormProblem, sayWhen } from '../respond.tsx'
import { type ConsoleContext, type ConsoleTypes, cursorQuery, field, formVersion } from '../visit.ts'
import { mayWriteIn } from './archived.ts'

interface Project {
  id: string
  archivedAt: string | null
}

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
  expiresAt?: string
}

/** As a form gave it. */
interface Given {
  text: string
  /** Empty for never. */
  expiresAt: string
}

/** As the API has names of collections. */
const NAME = '[A-Za-z0-9][A-Za-z0-9_\\-]{0,63}'
const PREVIEW = 140
/** What a form may hold, with room for what is typed into it. */
const MAX_TEXT_BYTES = 0.75 * MAX_BODY_BYTES

export function collectionRoutes(app: Hono<ConsoleTypes>): void {
  app.get('/:id/collections/:name', (c) => browse(c))
  // Where the form for a collection that is not there yet leads.
  app.get('/:id/collections', (c) => {
    const name = c.req.query('collection')?.trim() ?? ''
    const project = `${c.var.visit.base}/projects/${part(c, 'id')}`
    return c.redirect(
      new RegExp(`^${NAME}$`).test(name) ? `${project}/collections/${name}/new` : project,
      303,
    )
  })
  app.get('/:id/collections/:name/new', async (c) => {
    const project = await c.var.visit.api.get(`/v1/projects/${part(c, 'id')}`)
    return project.ok ? edit(c) : c.var.refuse(project)
  })
  app.post('/:id/collections/:name/new', async (c) => {
    const { visit, form } = c.var
    const given = givenIn(form)
    const json = jsonOf(given)
    if (json === undefined) return edit(c, given, NOT_JSON)
    const answer = await visit.api.post<Stored>(`${apiPath(c)}/records`, { json })
    if (answer.ok) return c.var.done(`${below(c)}/${answer.body.id}`, 'record-created')
    return c.var.again(answer, () => edit(c, given))
  })
  app.get('/:id/collections/:name/:record', (c) => edit(c))
  app.post('/:id/collections/:name/:record', async (c) => {
    const { visit, form } = c.var
    const given = givenIn(form)
    const json = jsonOf(given)
    if (json === undefined) return edit(c, given, NOT_JSON)
    const answer = await visit.api.put<Stored>(recordPath(c), { json, ifMatch: field(form, 'version') })
    if (answer.ok) return c.var.done(`${below(c)}/${part(c, 'record')}`, 'record-saved')
    return c.var.again(answer, () => edit(c, given))
  })
  app.get('/:id/collections/:name/:record/delete', async (c) => {
    const { visit } = c.var
    const answer = await visit.api.get<Stored>(recordPath(c))
    if (!answer.ok) return c.var.refuse(answer)
    const back = `${path(c)}/${part(c, 'record')}`
    return c.var.page(
      <Confirm visit={visit} action={`${back}/delete`} verb="Delete" back={back}>
        <p>
          Delete <code>{answer.body.id}</code>? This cannot be undone.
        </p>
        <pre tabindex={0}>
          <code>{JSON.stringify(answer.body.data, null, 2)}</code>
        </pre>
      </Confirm>,
      { title: 'Delete a record', above: [...aboveRecords(c), { href: path(c), title: nameIn(c) }] },
    )
  })
  app.post('/:id/collections/:name/:record/delete', async (c) => {
    const answer = await c.var.visit.api.delete(recordPath(c))
    return answer.ok ? c.var.done(below(c), 'record-deleted') : c.var.refuse(answer)
  })
}

/** What a page of projects says after a form about records. */
export const RECORD_MESSAGES = {
  'record-created': 'The record was created.',
  'record-saved': 'The record was saved.',
  'record-deleted': 'The record was deleted.',
}

/** A line each for what is in it, unless that made so many of them that no form could send it back. */
function textOf(data: Record<string, unknown>): string {
  const text = JSON.stringify(data, null, 2)
  // A form ends its lines with two bytes.
  const bytes = utf8(text.replaceAll('\n', '\r\n')).length
  return bytes <= MAX_TEXT_BYTES ? text : JSON.stringify(data)
}

const givenOf = ({ data, expiresAt = '' }: Stored): Given => ({ text: textOf(data), expiresAt })

const givenIn = (form: FormData): Given => ({
  text: field(form, 'data'),
  expiresAt: field(form, 'expiresAt'),
})

/**
 * The whole record: what a PUT does not say, is no more. The document goes as it was typed, so that the API says what it
 * thinks of a number that is none here. Undefined where the text is no JSON object.
 */
const jsonOf = ({ text, expiresAt }: Given): string | undefined =>
  isObject(text) ? `{"data":${text},"expiresAt":${JSON.stringify(expiresAt || null)}}` : undefined

const NOT_JSON = 'This is not a JSON object.'

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

const part = (c: ConsoleContext, name: string): string => encodeURIComponent(c.req.param(name) ?? '')
const nameIn = (c: ConsoleContext): string => c.req.param('name') ?? ''
/** What a collection lies in. */
const aboveRecords = (c: ConsoleContext) => [
  { href: `${c.var.visit.base}/projects/${part(c, 'id')}`, title: 'Project' },
]
const below = (c: ConsoleContext): string => `projects/${part(c, 'id')}/collections/${part(c, 'name')}`
/** Of the console. */
const path = (c: ConsoleContext): string => `${c.var.visit.base}/${below(c)}`
const apiPath = (c: ConsoleContext): string => `/v1/${below(c)}`
const recordPath = (c: ConsoleContext): string => `${apiPath(c)}/records/${part(c, 'record')}`

const mayChange = (c: ConsoleContext): Promise<boolean> =>
  mayWriteIn(c.var.visit, c.req.param('id') ?? '', 'records:write')

/** The project's collections, on its own page. */
export async function Collections({ c, project }: { c: ConsoleContext; project: Project }) {
  const { visit } = c.var
  if (!allows(visit.scopes, 'collections:read')) return null
  const { id, archivedAt } = project
  const answer = await visit.api.get<List<Collection>>(`/v1/projects/${id}/collections${cursorQuery(c)}`)
  if (!answer.ok) return <Advice refused={answer} />
  const { data, nextCursor } = answer.body
  const page = `${visit.base}/projects/${id}`
  return (
    <section class="panel" aria-labelledby="collections">
      <h2 id="collections">Collections</h2>
      {data.length === 0 ? (
        <p>None yet. The first record of a collection makes it.</p>
      ) : (
        <>
          <Table caption="By name" columns={columns(`${page}/collections`)} rows={data} />
          <Pager path={page} nextCursor={nextCursor} />
        </>
      )}
      {archivedAt === null && allows(visit.scopes, 'records:write') && (
        <form class="stack" method="get" action={`${page}/collections`}>
          <Field
            name="collection"
            label="Name of a collection"
            hint="Letters, digits, “-” and “_”; one that is not there yet is made with its first record."
            pattern={NAME}
            required
          />
          <button class="plain" type="submit">
            New record in it
          </button>
        </form>
      )}
    </section>
  )
}

const columns = (path: string) => [
  { title: 'Name', of: ({ name }: Collection) => <a href={`${path}/${name}`}>{name}</a> },
  { title: 'Records', number: true, of: ({ records }: Collection) => String(records) },
  {
    title: 'Indexes',
    of: ({ indexes }: Collection) =>
      indexes.map(({ fields }) => fields.map((each) => each.field).join(' + ')).join(', '),
  },
]

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
  const [answer, mayWrite] = await Promise.all([
    visit.api.get<List<Stored>>(`${apiPath(c)}/records?${query}`),
    mayChange(c),
  ])
  const self = path(c)
  const title = nameIn(c)
  const above = aboveRecords(c)
  const search = (
    <form class="stack" method="get" action={self}>
      <div class="panels">
        <Field
          name="where"
          label="Field"
          hint="One that has an index; with an order, an index on both"
          value={where}
        />
        <Field name="is" label="is" value={is} />
        <Field name="order" label="In the order of" hint="A field; -field for the last first" value={order} />
      </div>
      <div class="actions">
        <button type="submit">Search</button>
        <a class="button plain" href={self}>
          Show everything
        </a>
      </div>
    </form>
  )
  if (!answer.ok) {
    // What no index answers is told with the search that asked for it.
    sayWhen(c, answer)
    return c.var.page(
      <>
        <Advice refused={answer} />
        <div class="panel">{search}</div>
      </>,
      { title, above, status: answer.status },
    )
  }
  const kept = new URLSearchParams({ ...(where && { where, is }), ...(order && { order }) })
  return c.var.page(
    <>
      <div class="panel">{search}</div>
      {answer.body.data.length === 0 ? (
        <EmptyState title={where || order ? 'Nothing found' : 'No records'}>
          <p>
            {where || order
              ? 'No record fits. Search for something else, or for everything.'
              : mayWrite
                ? 'Create the first one below, or send it to the API.'
                : 'Nobody has put one here yet.'}
          </p>
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
      {mayWrite && (
        <a class="button" href={`${self}/new`}>
          New record
        </a>
      )}
    </>,
    { title, above },
  )
}

function preview(data: Record<string, unknown>): string {
  const text = JSON.stringify(data)
  return text.length <= PREVIEW ? text : `${text.slice(0, PREVIEW)}…`
}

const NEW: Given = { text: '{\n  \n}', expiresAt: '' }

const labelled = ({ text, expiresAt }: Given) => ({
  'Document (JSON)': text,
  Expires: expiresAt || 'never',
})

/** A record as JSON. What the API finds wrong with it stands below it, with where it is. */
async function edit(c: ConsoleContext, given?: Given, error?: string) {
  const { visit, problem } = c.var
  const record = c.req.param('record')
  const self = record === undefined ? `${path(c)}/new` : `${path(c)}/${part(c, 'record')}`
  const [stored, mayWrite] = await Promise.all([
    record === undefined ? undefined : visit.api.get<Stored>(recordPath(c)),
    mayChange(c),
  ])
  if (stored?.ok === false) return c.var.refuse(stored)
  const now = stored === undefined ? NEW : givenOf(stored.body)
  const typed = given ?? now
  return c.var.page(
    <>
      <div class="panel">
        <Form visit={visit} action={self}>
          {stored && <input type="hidden" name="version" value={formVersion(c, stored.etag)} />}
          <FormProblem problem={problem} typed={labelled(typed)} now={labelled(now)} />
          <TextArea
            name="data"
            label="Document (JSON)"
            value={typed.text}
            rows={18}
            error={error ?? wrongWithDocument(problem)}
          />
          <Field
            name="expiresAt"
            label="Expires"
            hint="In UTC, such as 2030-01-31T12:00:00Z. Empty keeps it until it is deleted."
            value={typed.expiresAt}
            error={errorAt(problem, '/expiresAt')}
          />
          {mayWrite && <button type="submit">Save</button>}
        </Form>
      </div>
      {mayWrite && record !== undefined && (
        <p>
          <a class="button danger plain" href={`${self}/delete`}>
            Delete this record
          </a>
        </p>
      )}
    </>,
    {
      title: record ?? 'New record',
      above: [...aboveRecords(c), { href: path(c), title: nameIn(c) }],
      ...(error && { status: 422 }),
    },
  )
}

/** All but what is said beside a field of its own. */
function wrongWithDocument(problem: ProblemDetails | undefined): string | undefined {
  const said = problem?.errors
    ?.filter(({ pointer }) => pointer !== '/expiresAt')
    .map(({ pointer, detail }) => `${pointer.replace(/^\/data/, '') || 'the document'}: ${detail}`)
  return said?.join('; ') || undefined
}
