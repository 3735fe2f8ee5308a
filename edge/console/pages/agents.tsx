// Agents: made and changed by project, run here, with the answer coming in as the model speaks, and every run there was.
import type { ProblemDetails } from '../../../shared/problems.ts'
import { allows } from '../../../shared/scopes.ts'
import type { List } from '../api.ts'
import { CsrfField, errorAt, Field, Form, OnceFields, Select, TextArea } from '../parts/form.tsx'
import { Badge, Confirm, EmptyState, Id, Pager, Table, Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import {
  type ConsoleContext,
  cursorQuery,
  field,
  formVersion,
  numberIn,
  textField,
  type Visit,
} from '../visit.ts'
import { mayWriteIn } from './archived.ts'
import type { ConsolePage } from './page.ts'

interface Project {
  id: string
  name: string
  archivedAt: string | null
}

interface Agent {
  id: string
  projectId: string
  name: string
  model: string | null
  instructions: string
  parameters: { temperature?: number; topP?: number; maxOutputTokens?: number }
  updatedAt: string
}

interface ListedRun {
  id: string
  model: string
  status: 'running' | 'succeeded' | 'failed' | 'cancelled'
  error: { code: string; detail: string } | null
  inputTokens: number
  outputTokens: number
  usageEstimated: boolean
  firstTextMs: number | null
  durationMs: number | null
  createdAt: string
}

interface Run extends ListedRun {
  input: ReadonlyArray<{ role: string; content: string }>
  output: string
}

interface Model {
  name: string
  /** US dollars for a million tokens. */
  inputTokenPrice: number
  outputTokenPrice: number
  plans: ReadonlyArray<string>
  available: boolean
}

/** As a form gave them; what is none fails at the API, beside its field. */
interface Given {
  name: string
  model: string
  instructions: string
  temperature: string
  topP: string
  maxOutputTokens: string
}

/** What a form had in it that is shown again: that of the agent, or that of a run. */
interface Typed {
  given?: Given
  input?: string
}

const PATH = 'agents'
const EVENT_STREAM = 'text/event-stream'

export const agents: ConsolePage = {
  path: PATH,
  title: 'Agents',
  scope: 'agents:read',
  messages: {
    created: 'The agent is there. Run it below.',
    changed: 'The agent was changed.',
    deleted: 'The agent is gone; its runs are being removed.',
    cancelled: 'The run was asked to stop.',
  },
  routes(app) {
    app.get('/', (c) => list(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const [project, given] = [field(form, 'project'), givenIn(form)]
      const answer = await visit.api.post<Agent>(agentsOf(project), {
        body: bodyOf(given),
      })
      if (answer.ok) return c.var.done(`${PATH}/${project}/${answer.body.id}`, 'created')
      return c.var.again(answer, () => list(c, given))
    })
    app.get('/models', (c) => listModels(c))
    app.get('/:project/:agent', (c) => show(c))
    app.post('/:project/:agent', async (c) => {
      const { visit, form } = c.var
      const given = givenIn(form)
      const ifMatch = field(form, 'version')
      const answer = await visit.api.patch<Agent>(one(c), { body: bodyOf(given), ifMatch })
      if (answer.ok) return c.var.done(here(c), 'changed')
      return c.var.again(answer, () => show(c, { given }))
    })
    app.get('/:project/:agent/delete', async (c) => {
      const { visit } = c.var
      const answer = await visit.api.get<Agent>(one(c))
      if (!answer.ok) return c.var.refuse(answer)
      const back = `${visit.base}/${here(c)}`
      return c.var.page(
        <Confirm visit={visit} action={`${back}/delete`} verb="Delete" back={back}>
          <p>
            Delete <strong>{answer.body.name}</strong> and all of its runs? This cannot be undone.
          </p>
        </Confirm>,
        { title: 'Delete an agent' },
      )
    })
    app.post('/:project/:agent/delete', async (c) => {
      const answer = await c.var.visit.api.delete(one(c))
      return answer.ok ? c.var.done(agentsIn(c), 'deleted') : c.var.refuse(answer)
    })
    app.post('/:project/:agent/runs', async (c) => {
      const { visit, form } = c.var
      const input = field(form, 'input')
      const sending = { body: { input } }
      if (c.req.header('accept') === EVENT_STREAM) {
        return visit.api.raw('POST', `${one(c)}/runs`, { ...sending, accept: EVENT_STREAM })
      }
      const answer = await visit.api.post<Run | ProblemDetails>(`${one(c)}/runs`, sending)
      if (!answer.ok) return c.var.again(answer, () => show(c, { input }))
      const { body } = answer
      if ('id' in body) return c.redirect(`${visit.base}/${here(c)}/runs/${body.id}`, 303)
      // It went wrong when the head of the answer was out already.
      return c.var.refuse({ ok: false, status: body.status, problem: body, retryAfter: undefined })
    })
    app.get('/:project/:agent/runs/:run', (c) => showRun(c))
    app.post('/:project/:agent/runs/:run/cancel', async (c) => {
      const run = c.req.param('run') ?? ''
      const answer = await c.var.visit.api.post(`${one(c)}/runs/${encodeURIComponent(run)}/cancel`)
      return answer.ok ? c.var.done(`${here(c)}/runs/${run}`, 'cancelled') : c.var.refuse(answer)
    })
  },
}

const agentsOf = (project: string): string => `/v1/projects/${encodeURIComponent(project)}/agents`
const one = (c: ConsoleContext): string =>
  `${agentsOf(c.req.param('project') ?? '')}/${encodeURIComponent(c.req.param('agent') ?? '')}`
/** Below the console's base. */
const here = (c: ConsoleContext): string => `${PATH}/${c.req.param('project')}/${c.req.param('agent')}`

/** The list that the agent is in, below the console's base. */
const agentsIn = (c: ConsoleContext): string =>
  `${PATH}?project=${encodeURIComponent(c.req.param('project') ?? '')}`
const aboveAgent = (c: ConsoleContext) => [
  { href: `${c.var.visit.base}/${agentsIn(c)}`, title: 'Of its project' },
]

const givenIn = (form: FormData): Given => ({
  name: field(form, 'name'),
  model: field(form, 'model'),
  instructions: textField(form, 'instructions'),
  temperature: field(form, 'temperature'),
  topP: field(form, 'topP'),
  maxOutputTokens: field(form, 'maxOutputTokens'),
})

/** With all of the parameters: those that are not said are taken away. */
const bodyOf = ({ name, model, instructions, temperature, topP, maxOutputTokens }: Given) => ({
  name,
  model: model || null,
  instructions,
  parameters: {
    ...(temperature !== '' && { temperature: numberIn(temperature) }),
    ...(topP !== '' && { topP: numberIn(topP) }),
    ...(maxOutputTokens !== '' && { maxOutputTokens: numberIn(maxOutputTokens) }),
  },
})

const givenOf = ({ name, model, instructions, parameters }: Agent): Given => ({
  name,
  model: model ?? '',
  instructions,
  temperature: String(parameters.temperature ?? ''),
  topP: String(parameters.topP ?? ''),
  maxOutputTokens: String(parameters.maxOutputTokens ?? ''),
})

async function list(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const wanted = (given && field(c.var.form, 'project')) || c.req.query('project')
  // One that is asked for need not be among the first of them.
  const [projects, asked] = await Promise.all([
    visit.api.get<List<Project>>('/v1/projects?limit=100'),
    wanted ? visit.api.get<Project>(`/v1/projects/${encodeURIComponent(wanted)}`) : undefined,
  ])
  if (!projects.ok) return c.var.refuse(projects)
  if (asked?.ok === false) return c.var.refuse(asked)
  const { data: first } = projects.body
  const chosen = asked?.body ?? first[0]
  if (chosen === undefined) {
    return c.var.page(
      <EmptyState title="No projects yet">
        <p>
          An agent lies in a project.{' '}
          {allows(visit.scopes, 'projects:write') && (
            <a href={`${visit.base}/projects`}>Create the first one</a>
          )}
        </p>
        <ToModels base={visit.base} />
      </EmptyState>,
    )
  }
  const mayWrite = allows(visit.scopes, 'agents:write') && chosen.archivedAt === null
  const [answer, models] = await Promise.all([
    visit.api.get<List<Agent>>(`${agentsOf(chosen.id)}${cursorQuery(c)}`),
    mayWrite ? modelsOf(visit) : undefined,
  ])
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  const choices = first.some(({ id }) => id === chosen.id) ? first : [chosen, ...first]
  const path = `${visit.base}/${PATH}`
  return c.var.page(
    <>
      {choices.length > 1 && (
        <form class="stack panel" method="get" action={path}>
          <Select
            name="project"
            label="Project"
            value={chosen.id}
            options={choices.map(({ id, name }) => ({ value: id, label: name }))}
          />
          <button type="submit">Show its agents</button>
        </form>
      )}
      {data.length === 0 ? (
        <EmptyState title={`No agents in ${chosen.name}`}>
          <p>An agent answers by one of the platform’s models. {mayWrite && 'Create the first one below.'}</p>
        </EmptyState>
      ) : (
        <div class="panel">
          <Table caption={`Agents in ${chosen.name}`} columns={columns(path)} rows={data} />
          <Pager path={`${path}?project=${chosen.id}`} nextCursor={nextCursor} />
        </div>
      )}
      <ToModels base={visit.base} />
      {mayWrite && (
        <section class="panel" aria-labelledby="new">
          <h2 id="new">New agent</h2>
          <AgentForm
            {...{ visit, action: path, given, problem, project: chosen.id }}
            models={availableIn(models)}
            verb="Create the agent"
          />
        </section>
      )}
    </>,
  )
}

const columns = (path: string) => [
  {
    title: 'Name',
    of: ({ id, projectId, name }: Agent) => <a href={`${path}/${projectId}/${id}`}>{name}</a>,
  },
  { title: 'Model', of: ({ model }: Agent) => model ?? 'the first there is' },
  { title: 'Changed', of: ({ updatedAt }: Agent) => <Time at={updatedAt} /> },
]

async function show(c: ConsoleContext, { given, input }: Typed = {}) {
  const { visit, problem } = c.var
  const [answer, runs, models, mayWrite] = await Promise.all([
    visit.api.get<Agent>(one(c)),
    visit.api.get<List<ListedRun>>(`${one(c)}/runs${cursorQuery(c)}`),
    allows(visit.scopes, 'agents:write') ? modelsOf(visit) : undefined,
    mayWriteIn(visit, c.req.param('project') ?? '', 'agents:write'),
  ])
  if (!answer.ok) return c.var.refuse(answer)
  if (!runs.ok) return c.var.refuse(runs)
  const agent = answer.body
  const now = givenOf(agent)
  const wrongRun = input === undefined ? undefined : problem
  const action = `${visit.base}/${here(c)}`
  return c.var.page(
    <>
      <Id id={agent.id} />
      {mayWrite && (
        <section class="panel" aria-labelledby="run">
          <h2 id="run">Run</h2>
          {models?.length === 0 && (
            <p class="notice">The platform has no model yet; its operator adds them.</p>
          )}
          <form class="stack" method="post" action={`${action}/runs`} data-streams="answer">
            <CsrfField visit={visit} />
            <OnceFields visit={visit} />
            <FormProblem problem={wrongRun} />
            <TextArea
              name="input"
              label="Message"
              rows={3}
              value={input}
              error={errorAt(wrongRun, '/input')}
              required
            />
            <button type="submit">Run</button>
          </form>
          <div class="answer" hidden>
            <h3>Answer</h3>
            <p id="answer" class="text" aria-live="polite" />
            <p class="actions">
              <button class="plain" type="button" data-stops hidden>
                Stop
              </button>
              <a data-leads href={`${action}#run`} hidden>
                Open this run
              </a>
            </p>
          </div>
        </section>
      )}
      {runs.body.data.length === 0 ? (
        <div data-until-run>
          <EmptyState title="No runs yet">
            <p>Each run is kept here, with what was said and what it took.</p>
          </EmptyState>
        </div>
      ) : (
        <div class="panel">
          <Table caption="Runs, newest first" columns={runColumns(`${action}/runs`)} rows={runs.body.data} />
          <Pager path={action} nextCursor={runs.body.nextCursor} />
        </div>
      )}
      {mayWrite && (
        <>
          <section class="panel" aria-labelledby="change">
            <h2 id="change">Change</h2>
            <AgentForm
              {...{ visit, action, given: given ?? now, problem: given && problem, now }}
              models={[...availableIn(models), now.model, given?.model ?? '']}
              version={formVersion(c, answer.etag)}
              verb="Save"
            />
          </section>
          <p>
            <a class="button danger plain" href={`${action}/delete`}>
              Delete this agent
            </a>
          </p>
        </>
      )}
    </>,
    { title: agent.name, above: aboveAgent(c) },
  )
}

const ToModels = ({ base }: Pick<Visit, 'base'>) => (
  <p>
    <a class="button plain" href={`${base}/${PATH}/models`}>
      The models that there are
    </a>
  </p>
)

async function listModels(c: ConsoleContext) {
  const { visit } = c.var
  const answer = await visit.api.get<List<Model>>(`/v1/models${cursorQuery(c)}`)
  if (!answer.ok) return c.var.refuse(answer)
  const { data, nextCursor } = answer.body
  return c.var.page(
    data.length === 0 ? (
      <EmptyState title="No models">
        <p>The platform has no model yet; its operator adds them.</p>
      </EmptyState>
    ) : (
      <div class="panel">
        <Table
          caption="By name, with US dollars for a million tokens"
          columns={[
            { title: 'Name', of: ({ name }: Model) => name },
            { title: 'Tokens in', number: true, of: (model: Model) => `$${model.inputTokenPrice}` },
            { title: 'Tokens out', number: true, of: (model: Model) => `$${model.outputTokenPrice}` },
            { title: 'Plans', of: ({ plans }: Model) => plans.join(', ') },
            {
              title: 'For your agents',
              of: ({ available }: Model) =>
                available ? <Badge kind="good">yes</Badge> : <Badge>not on your plan</Badge>,
            },
          ]}
          rows={data}
        />
        <Pager path={`${visit.base}/${PATH}/models`} nextCursor={nextCursor} />
      </div>
    ),
    { title: 'Models' },
  )
}

/** All that there are; undefined where that is not known now. */
async function modelsOf({ api }: Visit): Promise<Model[] | undefined> {
  const models: Model[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const after: string = cursor && `&cursor=${encodeURIComponent(cursor)}`
    const answer = await api.get<List<Model>>(`/v1/models?limit=100${after}`)
    if (!answer.ok) return undefined
    models.push(...answer.body.data)
    cursor = answer.body.nextCursor
  }
  return models
}

/** What an agent can be given. */
const availableIn = (models: ReadonlyArray<Model> = []): string[] =>
  models.filter(({ available }) => available).map(({ name }) => name)

const runColumns = (path: string) => [
  {
    title: 'When',
    of: ({ id, createdAt }: ListedRun) => (
      <a href={`${path}/${id}`}>
        <Time at={createdAt} />
      </a>
    ),
  },
  { title: 'Status', of: (run: ListedRun) => <Status run={run} /> },
  { title: 'Model', of: ({ model }: ListedRun) => model },
  { title: 'Tokens in', number: true, of: ({ inputTokens }: ListedRun) => String(inputTokens) },
  { title: 'Tokens out', number: true, of: ({ outputTokens }: ListedRun) => String(outputTokens) },
  { title: 'Took', number: true, of: ({ durationMs }: ListedRun) => seconds(durationMs) },
]

const seconds = (ms: number | null): string => (ms === null ? '–' : `${(ms / 1000).toFixed(1)} s`)

const nothingOf = ({ status }: Run): string => (status === 'running' ? '(nothing yet)' : '(nothing)')

const Status = ({ run: { status } }: { run: ListedRun }) => (
  <Badge {...(status === 'succeeded' ? { kind: 'good' } : status === 'failed' ? { kind: 'bad' } : {})}>
    {status}
  </Badge>
)

async function showRun(c: ConsoleContext) {
  const { visit } = c.var
  const answer = await visit.api.get<Run>(`${one(c)}/runs/${encodeURIComponent(c.req.param('run') ?? '')}`)
  if (!answer.ok) return c.var.refuse(answer)
  const run = answer.body
  const back = `${visit.base}/${here(c)}`
  return c.var.page(
    <>
      <div class="panel">
        <dl>
          <dt>Status</dt>
          <dd>
            <Status run={run} /> {run.error && `${run.error.code}: ${run.error.detail}`}
          </dd>
          <dt>Model</dt>
          <dd>{run.model}</dd>
          <dt>Begun</dt>
          <dd>
            <Time at={run.createdAt} />
          </dd>
          <dt>First word after, all of it after</dt>
          <dd>
            {seconds(run.firstTextMs)}, {seconds(run.durationMs)}
          </dd>
          <dt>Tokens in, out</dt>
          <dd>
            {run.inputTokens}, {run.outputTokens}
            {run.usageEstimated && ' (estimated)'}
          </dd>
        </dl>
        {run.status === 'running' && allows(visit.scopes, 'agents:write') && (
          <Form visit={visit} action={`${back}/runs/${run.id}/cancel`}>
            <button class="danger plain" type="submit">
              Stop it
            </button>
          </Form>
        )}
      </div>
      {[...run.input, { role: 'agent', content: run.output || nothingOf(run) }].map(({ role, content }) => (
        <section class="panel" aria-label={role}>
          <h2>{role}</h2>
          <p class="text">{content}</p>
        </section>
      ))}
      <p>
        <a class="button plain" href={back}>
          Back to the agent
        </a>
      </p>
    </>,
    { title: 'Run', above: [...aboveAgent(c), { href: back, title: 'Agent' }] },
  )
}

interface AgentFormProps {
  visit: Visit
  action: string
  given: Given | undefined
  problem: ProblemDetails | undefined
  now?: Given
  /** What can be chosen: what is available, and what the agent has, whether it is or not. */
  models: ReadonlyArray<string>
  /** Of a new one. */
  project?: string
  version?: string | undefined
  verb: string
}

const labelled = (given: Given | undefined) =>
  given && {
    Name: given.name,
    Model: given.model,
    Instructions: given.instructions,
    Temperature: given.temperature,
    'Top P': given.topP,
    'Tokens of an answer, at most': given.maxOutputTokens,
  }

const AgentForm = ({
  visit,
  action,
  given,
  problem,
  now,
  models,
  project,
  version,
  verb,
}: AgentFormProps) => (
  <Form visit={visit} action={action}>
    {project !== undefined && <input type="hidden" name="project" value={project} />}
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
    <Select
      name="model"
      label="Model"
      value={given?.model}
      error={errorAt(problem, '/model')}
      options={[...new Set(['', ...models])].map((name) => ({
        value: name,
        label: name || 'The first that the plan may use',
      }))}
    />
    <TextArea
      name="instructions"
      label="Instructions"
      hint="Said to the model before anything else."
      value={given?.instructions}
      error={errorAt(problem, '/instructions')}
      rows={4}
    />
    <Field
      name="temperature"
      label="Temperature"
      hint="From 0 to 2; empty is the model’s own."
      value={given?.temperature}
      error={errorAt(problem, '/parameters/temperature')}
    />
    <Field
      name="topP"
      label="Top P"
      hint="From 0 to 1; empty is the model’s own."
      value={given?.topP}
      error={errorAt(problem, '/parameters/topP')}
    />
    <Field
      name="maxOutputTokens"
      label="Tokens of an answer, at most"
      hint="Empty is 1,024."
      value={given?.maxOutputTokens}
      error={errorAt(problem, '/parameters/maxOutputTokens')}
    />
    <button type="submit">{verb}</button>
  </Form>
)
