// The way back of who signed up, for pages that have no other for them: told wherever the platform is open for sign-up,
// whatever organisation is asked for, so that it tells nobody which there are.
import type { Context } from 'hono'
import type { Child } from 'hono/jsx'
import { LINK_PAGE, SIGN_UP_CALL, type SignUpOffer } from '../../shared/sign_up.ts'
import { Api } from './api.ts'
import { VISITOR } from './identity.ts'
import type { ConsoleDependencies } from './visit.ts'

export type OwnersWay = (c: Context) => Promise<Child>

/** Strangers' pages ask no more often than that. */
const KNOWN_MS = 10_000

/** For one isolate. */
export function ownersWay({ config, inside, now }: ConsoleDependencies): OwnersWay {
  const { publicOrigin } = config
  let isOpen = false
  let askAtMs = Number.NEGATIVE_INFINITY
  return async (c) => {
    if (now() >= askAtMs) {
      // Set before the answer: while the region keeps silent, nobody else waits for it.
      askAtMs = now() + KNOWN_MS
      const offer = await new Api(inside, VISITOR, c.req.raw, { publicOrigin }).get<SignUpOffer>(SIGN_UP_CALL)
      if (offer.ok) isOpen = offer.body.open
    }
    return isOpen ? (
      <p class="quiet">
        Made the organisation yourself? <a href={LINK_PAGE}>Get a link to it</a>.
      </p>
    ) : null
  }
}
