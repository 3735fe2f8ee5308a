// The organisation itself: its name, and how this console shows it.
import { allows } from '../../../shared/scopes.ts'
import { errorAt, Field, Form } from '../parts/form.tsx'
import { Time } from '../parts/list.tsx'
import { FormProblem } from '../respond.tsx'
import { type ConsoleContext, type Customisation, field, formVersion } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Tenant {
  id: string
  slug: string
  name: string
  region: string
  plan: string
  createdAt: string
  customisation: Customisation
}

type Given = Pick<Tenant, 'name' | 'customisation'>

const PATH = 'settings'

export const settings: ConsolePage = {
  path: PATH,
  title: 'Settings',
  scope: 'tenant:read',
  messages: { saved: 'The settings were saved.' },
  routes(app) {
    app.get('/', (c) => show(c))
    app.post('/', async (c) => {
      const { visit, form } = c.var
      const orNull = (name: string) => field(form, name) || null
      const body: Given = {
        name: field(form, 'name'),
        customisation: {
          displayName: orNull('displayName'),
          logoUrl: orNull('logoUrl'),
          accentColor: orNull('accentColor'),
        },
      }
      const answer = await visit.api.patch<Tenant>('/v1/tenant', { body, ifMatch: field(form, 'version') })
      if (answer.ok) return c.var.done(PATH, 'saved')
      return c.var.again(answer, () => show(c, body))
    })
  },
}

const labelled = ({ name, customisation: { displayName, logoUrl, accentColor } }: Given) => ({
  Name: name,
  'Name in this console': displayName ?? '',
  Logo: logoUrl ?? '',
  'Accent colour': accentColor ?? '',
})

async function show(c: ConsoleContext, given?: Given) {
  const { visit, problem } = c.var
  const answer = await visit.api.get<Tenant>('/v1/tenant')
  if (!answer.ok) return c.var.refuse(answer)
  const { id, slug, region, plan, createdAt, ...kept } = answer.body
  const typed = given ?? kept
  const { name, customisation } = typed
  return c.var.page(
    <>
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
          <dt>Plan</dt>
          <dd>{plan}</dd>
          <dt>Since</dt>
          <dd>
            <Time at={createdAt} />
          </dd>
        </dl>
      </div>
      {allows(visit.scopes, 'tenant:write') && (
        <section class="panel" aria-labelledby="change">
          <h2 id="change">Name and appearance</h2>
          <Form visit={visit} action={`${visit.base}/${PATH}`}>
            <input type="hidden" name="version" value={formVersion(c, answer.etag)} />
            <FormProblem problem={problem} typed={labelled(typed)} now={labelled(kept)} />
            <Field
              name="name"
              label="Name"
              value={name}
              error={errorAt(problem, '/name')}
              maxlength={200}
              required
            />
            <Field
              name="displayName"
              label="Name in this console"
              hint="Instead of the name, at the top of each page."
              value={customisation.displayName ?? ''}
              error={errorAt(problem, '/customisation/displayName')}
              maxlength={60}
            />
            <Field
              name="logoUrl"
              label="Logo"
              hint="The https address of an image, or a data: URL of one."
              value={customisation.logoUrl ?? ''}
              error={errorAt(problem, '/customisation/logoUrl')}
            />
            <Field
              name="accentColor"
              label="Accent colour"
              hint="Such as #0b57d0. It is made darker or lighter where it could not be read."
              value={customisation.accentColor ?? ''}
              error={errorAt(problem, '/customisation/accentColor')}
              maxlength={7}
            />
            <button type="submit">Save</button>
          </Form>
        </section>
      )}
    </>,
  )
}
