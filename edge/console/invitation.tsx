// Where an invitation's link leads. It says how to accept and consumes nothing: mail scanners open links, and who accepts
// has to be known by their own sign-in.
import { Hono } from 'hono'
import { INVITATION_PATH, INVITATION_TOKEN } from '../../shared/credentials/invitation_token.ts'
import { Alone } from './parts/layout.tsx'
import type { Show } from './respond.tsx'
import type { ConsoleDependencies } from './visit.ts'

export function inviting({ config }: ConsoleDependencies, show: Show): Hono {
  const app = new Hono()
  app.get(INVITATION_PATH, (c) => {
    const token = c.req.query('token') ?? ''
    if (!INVITATION_TOKEN.test(token)) {
      return show(c, {
        title: 'Not a valid invitation',
        status: 404,
        body: (
          <Alone title="This is not a valid invitation">
            <p>It may have been cut off on the way. Open it exactly as it was sent to you.</p>
          </Alone>
        ),
      })
    }
    return show(c, {
      title: 'An invitation',
      body: (
        <Alone title="You are invited">
          <p>
            Accept with a token of your organisation’s sign-in: send it as <code>Authorization: Bearer</code>,
            and this body, to <code>POST {config.publicOrigin}/v1/invitations/accept</code>. It works once.
          </p>
          <pre>
            <code>{JSON.stringify({ token })}</code>
          </pre>
        </Alone>
      ),
    })
  })
  return app
}
