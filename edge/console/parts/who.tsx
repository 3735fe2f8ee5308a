// Whose session it is, as far as that is known: an address, a member whose identity provider vouches for none, or whoever
// had the link. And who made something.
import type { Child } from 'hono/jsx'
import type { SessionShown, Visit } from '../visit.ts'

export const whoOf = ({ base }: Pick<Visit, 'base'>, { email, member }: SessionShown): Child =>
  email === null && member !== null ? (
    <a href={`${base}/members/${member}`}>{member}</a>
  ) : (
    (email ?? 'by link')
  )

export interface Maker {
  kind: 'api_key' | 'member' | 'operator'
  id: string
}

export const makerOf = ({ base }: Pick<Visit, 'base'>, maker: Maker): Child =>
  maker.kind === 'member' ? <a href={`${base}/members/${maker.id}`}>{maker.id}</a> : maker.id
