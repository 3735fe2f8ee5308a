// What becomes of all of it: an owner erases the organisation, and types its name to say so.
import { Field, Form } from '../parts/form.tsx'
import { Alone } from '../parts/layout.tsx'
import { type ConsoleContext, field } from '../visit.ts'
import type { ConsolePage } from './page.ts'

const PATH = 'data'

export const data: ConsolePage = {
  path: PATH,
  title: 'Data',
  scope: 'tenant:read',
  routes(app) {
    app.get('/', (c) => asking(c))
    app.post('/erase', async (c) => {
      const { visit, form } = c.var
      const { slug, name } = visit.organisation
      const typed = field(form, 'confirm')
      if (typed !== slug) return asking(c, `Type ${slug}, as it stands above.`)
      const answer = await visit.api.delete(`/v1/tenant?confirm=${encodeURIComponent(typed)}`)
      if (!answer.ok) return c.var.refuse(answer)
      return c.var.alone(
        'The organisation is being erased',
        <Alone title="The organisation is being erased">
          <p>
            {name} is shut: from now on nobody is let in, and every key, link and session of it is refused.
            Everything that it had is being cleared from the database, for good.
          </p>
          <p>The platform’s operator has the certificate that says so when it is done.</p>
        </Alone>,
      )
    })
  },
}

function asking(c: ConsoleContext, error?: string) {
  const { visit } = c.var
  const { slug, name } = visit.organisation
  if (!visit.scopes.includes('*')) {
    return c.var.page(<p>Only an owner can erase the organisation. Ask one of them.</p>)
  }
  return c.var.page(
    <section class="panel" aria-labelledby="erase">
      <h2 id="erase">Erase the organisation</h2>
      <p>
        Everything goes: projects, records, members, keys, the audit log, and {name} itself. Nobody can undo
        it, the platform’s operator neither.
      </p>
      <Form visit={visit} action={`${visit.base}/${PATH}/erase`}>
        <Field name="confirm" label={`To go on, type ${slug}`} autocomplete="off" error={error} required />
        <button class="danger" type="submit">
          Erase everything
        </button>
      </Form>
    </section>,
    error === undefined ? {} : { status: 422 },
  )
}
