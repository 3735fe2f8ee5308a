// Whose session it is, as far as that is known: an address, a member whose identity provider vouches for none, or whoever
// had the link.
import type { Child } from 'hono/jsx'
import type { SessionShown, Visit } from '../visit.ts'

export const whoOf = ({ base }: Pick<Visit, 'base'>, { email, member }: SessionShown): Child =>
  email === null && member !== null ? (
    <a href={`${base}/members/${member}`}>{member}</a>
  ) : (
    (email ?? 'by link')
  )
