// What becomes of all of it: an owner erases the organisation, and types its name to say so.
import { dropSessionCookie } from '../cookie.ts'
import { erasurePageOf } from '../erasure.tsx'
import { Field, Form } from '../parts/form.tsx'
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
      const { slug } = visit.organisation
      const typed = field(form, 'confirm')
      if (typed !== slug) return asking(c, `Type ${slug}, as it stands above.`)
      // Afterwards there is nobody left to ask where it was.
      const tenant = await visit.api.get<{ region: string }>('/v1/tenant')
      if (!tenant.ok) return c.var.refuse(tenant)
      const shut = await visit.api.delete<{ id: string; tenant: string }>(
        `/v1/tenant?confirm=${encodeURIComponent(typed)}`,
      )
      if (!shut.ok) return c.var.refuse(shut)
      dropSessionCookie(c, slug)
      return c.redirect(erasurePageOf(tenant.body.region, shut.body), 303)
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
        Everything goes: projects, records, members, keys, the audit log, and <strong>{name}</strong> itself.
        Nobody can undo it, the platform’s operator neither.
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
