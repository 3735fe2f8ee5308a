// Projects: listed, made, renamed and deleted.
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { errorAt, Field, Form, TextArea } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Id, Pager, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, cursorQuery, field, formVersion, textField, type Visit } from '../visit.ts'
import { Collections, collectionRoutes, RECORD_MESSAGES } from './collections.tsx'
import type { ConsolePage } from './page.ts'

interface Project {
  id: string
  name: string
  description: string
  archivedAt: string | null
  createdAt: string
  updatedAt: string
}

type Given = Pick<Project, 'name' | 'description'>

const PATH = 'projects'

export const projects: ConsolePage = {
  path: PATH,
  title: 'Projects',
  scope: 'projects:read',
  messages: {
    created: 'The project is there.',
    changed: 'The project was changed.',
    archived: 'The project is archived: everything in it can be read, and nothing changed.',
    restored: 'The project can be changed again.',
    deleted: 'The project is shut, and everything in it is being removed.',
    ...RECORD_MESSAGES,
  },
  routes(app) {
    collectionRoutes(app)
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const body = givenIn(form)
      const answer = await visit.api.post<Project>('/v1/projects', {
        body,
      })
      if (answer.ok) return c.var.done(`${PATH}/${answer.body.id}`, 'created')
      return c.var.again(answer, () => list(c, body))
    })
    app.get('/:id', (c) => edit(c))
    app.post('/:id', async (c) => {
      const { visit, form } = c.var
      const body = givenIn(form)
      const answer = await visit.api.patch<Project>(one(c), { body, ifMatch: field(form, 'version') })
      if (answer.ok) return c.var.done(`${PATH}/${answer.body.id}`, 'changed')
      return c.var.again(answer, () => edit(c, body))
    })
    for (const [verb, done] of [
      ['archive', 'archived'],
      ['restore', 'restored'],
    ] as const) {
      app.post(`/:id/${verb}`, async (c) => {
        const answer = await c.var.visit.api.post<Project>(`${one(c)}/${verb}`)
        return answer.ok ? c.var.done(`${PATH}/${answer.body.id}`, done) : c.var.refuse(answer)
      })
    }
    app.get('/:id/delete', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<Project>(one(c))
      if (!answer.ok) return c.var.refuse(answer)
      const { id, name } = answer.body
      const back = `${visit.base}/${PATH}/${id}`
      return c.var.page(
        <Confirm visit={visit} action={`${back}/delete`} verb="Delete" back={back}>
          <p>
            Delete <strong>{name}</strong> and everything in it? This cannot be undone.
          </p>
        </Confirm>,
        { title: 'Delete a project' },
      )
    })
    app.post('/:id/delete', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(PATH, 'deleted') : c.var.refuse(answer)
    })
  },
}

const one = (c: ConsoleContext): string => `/v1/projects/${encodeURIComponent(c.req.param('id') ?? '')}`

const givenIn = (form: FormData): Given => ({
  name: field(form, 'name'),
  description: textField(form, 'description'),
})

async function list(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<List<Project>>(`/v1/projects${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const mayWrite = allows(visit.scopes, 'projects:write')
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {data.length === 0 ? (
        <EmptyState title="No projects yet">
          <p>
            Everything that your programs keep lies in a project. {mayWrite && 'Create the first one below.'}
          </p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption="Projects" columns={columns(path)} rows={data} />
          <Pager path={path} nextCursor={nextCursor} />
        </div>
      )}
      {mayWrite && (
        <section class="panel" aria-labelledby="new">
          <h2 id="new">New project</h2>
          <ProjectForm {...{ visit, action: path, given, problem }} verb="Create the project" />
        </section>
      )}
    </>,
  )
}

const columns = (path: string) => [
  {
    title: 'Name',
    of: ({ id, name }: Project) => <a href={`${path}/${id}`}>{name}</a>,
  },
  { title: 'Id', of: ({ id }: Project) => <code>{id}</code> },
  {
    title: 'Status',
    of: ({ archivedAt }: Project) => (archivedAt === null ? 'in use' : <Badge>archived</Badge>),
  },
  { title: 'Description', of: ({ description }: Project) => description },
  { title: 'Changed', of: ({ updatedAt }: Project) => <Time at={updatedAt} /> },
]

async function edit(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<Project>(one(c))
  if (!answer.ok) return c.var.refuse(answer)
  const project = answer.body
  const action = `${visit.base}/${PATH}/${project.id}`
  return c.var.page(
    <>
      <Id id={project.id} />
      <Collections c={c} project={project} />
      {allows(visit.scopes, 'agents:read') && (
        <p>
          <a class="button plain" href={`${visit.base}/agents?project=${project.id}`}>
            Its agents
          </a>
        </p>
      )}
      {allows(visit.scopes, 'projects:write') && (
        <>
          {(project.archivedAt === null || given) && (
            <div class="panel">
              <ProjectForm
                {...{ visit, action, given: given ?? project, problem, now: project }}
                version={formVersion(c, answer.etag)}
                verb="Save"
              />
            </div>
          )}
          <div class="panel">
            <h2>{project.archivedAt === null ? 'Archive' : 'Archived'}</h2>
            <p>Everything in an archived project can be read, and nothing changed.</p>
            <Form visit={visit} action={`${action}/${project.archivedAt === null ? 'archive' : 'restore'}`}>
              <button class="plain" type="submit">
                {project.archivedAt === null ? 'Archive this project' : 'Restore this project'}
              </button>
            </Form>
          </div>
          <div class="panel">
            <h2>Delete</h2>
            <p>Removes the project and everything in it.</p>
            <a class="button danger plain" href={`${action}/delete`}>
              Delete this project
            </a>
          </div>
        </>
      )}
    </>,
    { title: project.name },
  )
}

interface ProjectFormProps {
  visit: Visit
  action: string
  given: Given | undefined
  problem: ProblemDetails | undefined
  now?: Given
  /** Someone else may change it meanwhile. */
  version?: string | undefined
  verb: string
}

const labelled = (given: Given | undefined) => given && { Name: given.name, Description: given.description }

const ProjectForm = ({ visit, action, given, problem, now, version, verb }: ProjectFormProps) => (
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
    <TextArea
      name="description"
      label="Description"
      value={given?.description}
      error={errorAt(problem, '/description')}
      rows={3}
    />
    <button type="submit">{verb}</button>
  </Form>
)
