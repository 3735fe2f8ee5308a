// The audit trail: filtered, page by page, and as a file.

import type { ProblemDetails } from '../../../shared/problems.ts'
import type { List } from '../api.ts'
import { csvOf } from '../parts/csv.ts'
import { errorAt, Field, Select } from '../parts/form.tsx'
import { Badge, EmptyState, Pager, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import type { ConsoleContext } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Entry {
  id: string
  at: string
  actor: { kind: string; id: string; member?: string }
  action: string
  changed?: ReadonlyArray<string>
  target: string | null
  ip: string | null
  requestId: string
  outcome: 'done' | 'refused'
  code?: string
  count?: number
}

const PATH = 'audit'
const FILTERS = ['actor', 'action', 'target', 'outcome', 'since', 'until'] as const
type Filters = Record<(typeof FILTERS)[number], string>
/** A file has at most so many entries: pages of a hundred. */
const MAX_PAGES = 50
/** How long a file may wait, all in all, for the organisation's own rate to let its next page through. */
const MAX_WAIT_MS = 120_000

export const audit: ConsolePage = {
  path: PATH,
  title: 'Audit log',
  scope: 'audit:read',
  routes(app) {
    app.get('/', async (c) => {
      const { visit } = c.var
      const filters = filtersOf(c)
      const query = queryOf(filters)
      const cursor = c.req.query('cursor')
      const at = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const answer = await visit.api.get<List<Entry>>(`/v1/audit?limit=50${query}${at}`)
      const path = `${visit.base}/${PATH}`
      if (!answer.ok) {
        return c.var.again(answer, () =>
          c.var.page(<FilterForm path={path} filters={filters} problem={answer.problem} />),
        )
      }
      const { data, nextCursor } = answer.body
      return c.var.page(
        <>
          <FilterForm path={path} filters={filters} />
          {data.length === 0 ? (
            <EmptyState title="No entries">
              <p>
                {nextCursor === null
                  ? 'Nothing fits. Leave some of the filters out.'
                  : 'Nothing on this page.'}
              </p>
            </EmptyState>
          ) : (
            <div class="panel">
              <Table caption="Newest first" columns={COLUMNS} rows={data} />
            </div>
          )}
          <Pager path={`${path}?${query.slice(1)}`} nextCursor={nextCursor} />
          <p class="actions">
            <a class="button plain" href={`${path}/export.csv?${query.slice(1)}`}>
              Save as CSV
            </a>
            <a class="button plain" href={`${path}/export.json?${query.slice(1)}`}>
              Save as JSON
            </a>
            <small>At most {MAX_PAGES * 100} entries, the newest that fit the filters.</small>
          </p>
        </>,
      )
    })
    app.get('/export.csv', (c) =>
      file(c, 'csv', 'text/csv; charset=utf-8', (entries) => csvOf(CSV_COLUMNS, entries)),
    )
    app.get('/export.json', (c) =>
      file(c, 'json', 'application/json', (entries) => JSON.stringify(entries, null, 2)),
    )
  },
}

const filtersOf = (c: ConsoleContext): Filters =>
  Object.fromEntries(FILTERS.map((name) => [name, c.req.query(name)?.trim() ?? ''])) as Filters

/** As the API takes it; times of a form are UTC. */
const queryOf = (filters: Filters): string =>
  FILTERS.filter((name) => filters[name] !== '')
    .map((name) => `&${name}=${encodeURIComponent(isTime(name) ? timeOf(filters[name]) : filters[name])}`)
    .join('')

const isTime = (name: string): boolean => name === 'since' || name === 'until'

/** `2026-11-23T10:15`, as a form sends it, or what the API takes anyway. */
const timeOf = (text: string): string =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text)
    ? `${text}:00Z`
    : /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text)
      ? `${text}Z`
      : text

interface FilterFormProps {
  path: string
  filters: Filters
  problem?: ProblemDetails
}

const FilterForm = ({ path, filters, problem }: FilterFormProps) => (
  <details class="panel" open={problem !== undefined || Object.values(filters).some((value) => value !== '')}>
    <summary>Filter</summary>
    <form class="stack" method="get" action={path}>
      <FormProblem problem={problem} />
      <div class="panels">
        <Field
          name="actor"
          label="Actor"
          hint="An id, such as key_… or ses_…; of a member (mem_…), with their sessions"
          value={filters.actor}
          error={errorAt(problem, '/actor')}
        />
        <Field
          name="action"
          label="Action"
          hint="Such as projects, or projects.create"
          value={filters.action}
          error={errorAt(problem, '/action')}
        />
        <Field
          name="target"
          label="Target"
          hint="An id; for a collection, prj_…/name"
          value={filters.target}
          error={errorAt(problem, '/target')}
        />
        <Select
          name="outcome"
          label="Outcome"
          value={filters.outcome}
          error={errorAt(problem, '/outcome')}
          options={[{ value: '', label: 'any' }, 'done', 'refused']}
        />
        <Field
          name="since"
          label="From (UTC)"
          type="datetime-local"
          value={filters.since.replace(/:\d\d(?:\.\d+)?Z$/, '')}
          error={errorAt(problem, '/since')}
        />
        <Field
          name="until"
          label="Before (UTC)"
          type="datetime-local"
          value={filters.until.replace(/:\d\d(?:\.\d+)?Z$/, '')}
          error={errorAt(problem, '/until')}
        />
      </div>
      <div class="actions">
        <button type="submit">Show</button>
        <a class="button plain" href={path}>
          Show everything
        </a>
      </div>
    </form>
  </details>
)

const COLUMNS = [
  { title: 'Time', of: ({ at }: Entry) => <Time at={at} exact /> },
  {
    title: 'Actor',
    of: ({ actor }: Entry) => (
      <>
        {actor.kind.replaceAll('_', ' ')} <small>{actor.id}</small>
        {actor.member && (
          <small>
            {' '}
            of <a href={`?actor=${actor.member}`}>{actor.member}</a>
          </small>
        )}
      </>
    ),
  },
  {
    title: 'Action',
    of: ({ action, changed, count }: Entry) => (
      <>
        {action}
        {changed && changed.length > 0 && <small> ({changed.join(', ')})</small>}
        {(count ?? 1) > 1 && ` (${count} times)`}
      </>
    ),
  },
  { title: 'Target', of: ({ target }: Entry) => <small>{target ?? ''}</small> },
  {
    title: 'Outcome',
    of: ({ outcome, code }: Entry) => (
      <Badge kind={outcome === 'done' ? 'good' : 'bad'}>{code ?? outcome}</Badge>
    ),
  },
  { title: 'IP address', of: ({ ip }: Entry) => ip ?? '' },
]

const CSV_COLUMNS: ReadonlyArray<[title: string, of: (entry: Entry) => string]> = [
  ['id', ({ id }) => id],
  ['at', ({ at }) => at],
  ['actor_kind', ({ actor }) => actor.kind],
  ['actor_id', ({ actor }) => actor.id],
  ['action', ({ action }) => action],
  ['target', ({ target }) => target ?? ''],
  ['outcome', ({ outcome }) => outcome],
  ['code', ({ code }) => code ?? ''],
  ['count', ({ count }) => String(count ?? 1)],
  ['ip', ({ ip }) => ip ?? ''],
  ['request_id', ({ requestId }) => requestId],
  ['actor_member', ({ actor }) => actor.member ?? ''],
  ['changed', ({ changed }) => changed?.join(' ') ?? ''],
]

async function file(
  c: ConsoleContext,
  ending: string,
  type: string,
  write: (entries: ReadonlyArray<Entry>) => string,
) {
  const { visit } = c.var
  const query = queryOf(filtersOf(c))
  const entries: Entry[] = []
  visit.api.bePatientFor(MAX_WAIT_MS)
  for (let pages = 0, cursor: string | null = ''; pages < MAX_PAGES && cursor !== null; pages++) {
    const at: string = cursor && `&cursor=${encodeURIComponent(cursor)}`
    const answer = await visit.api.get<List<Entry>>(`/v1/audit?limit=100${query}${at}`)
    // A file is whole, or there is none.
    if (!answer.ok) return c.var.refuse(answer)
    entries.push(...answer.body.data)
    cursor = answer.body.nextCursor
  }
  return c.body(write(entries), 200, {
    'content-type': type,
    'content-disposition': `attachment; filename="audit-${visit.organisation.slug}.${ending}"`,
  })
}
