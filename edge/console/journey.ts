// One browser on its way to an identity provider and back. What ties the provider's answer to it is in a cookie of its own
// for each sign-in, so that two that are under way side by side, at one organisation or at two, each come to their end.
import type { Context } from 'hono'
import { deleteCookie, setCookie } from 'hono/cookie'
import { equalInConstantTime, fromBase64url, toBase64url, utf8 } from '../../shared/bytes.ts'
import type { SignInBegin } from '../../shared/sign_in.ts'
import { ATTRIBUTES, cookieNames, readCookie } from './cookie.ts'

export interface Journey extends SignInBegin {
  /** The page of the console that was asked for; held to that console where it is gone to. */
  to?: string
}

const FIELDS = ['provider', 'state', 'nonce', 'verifier', 'redirectUri'] as const
const LIFE_SECONDS = 600
/** In one browser, for all organisations: a request's headers have room for so many. */
export const MOST_UNDER_WAY = 6

const NAME = /^__Host-coditect-sign-in-[a-z0-9-]+-[\w-]{12}$/
/** The slug, and as much of the state as tells sign-ins of one organisation apart. */
const nameOf = (slug: string, state: string): string =>
  `__Host-coditect-sign-in-${slug}-${state.slice(0, 12)}`

/** With the page that leads to the provider. Where too many are under way, the oldest give way to it. */
export function keepJourney(c: Context, slug: string, journey: Journey): void {
  const others = cookieNames(c).filter((name) => NAME.test(name))
  for (const name of others.slice(0, 1 - MOST_UNDER_WAY)) deleteCookie(c, name, ATTRIBUTES)
  const attributes = { ...ATTRIBUTES, maxAge: LIFE_SECONDS }
  setCookie(c, nameOf(slug, journey.state), writeJourney(journey), attributes)
}

/** The one that this browser began there, and that came back with its state. */
export function journeyOf(c: Context, slug: string, state: string): Journey | undefined {
  const journey = readJourney(readCookie(c, nameOf(slug, state)))
  return journey && equalInConstantTime(utf8(state), utf8(journey.state)) ? journey : undefined
}

/** It leads in once. */
export function endJourney(c: Context, slug: string, { state }: Journey): void {
  deleteCookie(c, nameOf(slug, state), ATTRIBUTES)
}

export const writeJourney = (journey: Journey): string => toBase64url(utf8(JSON.stringify(journey)))

/** It came back from the browser that it was given to: anything but what was given is no journey. */
export function readJourney(cookie: string | undefined): Journey | undefined {
  const bytes = cookie === undefined ? undefined : fromBase64url(cookie)
  if (bytes === undefined) return undefined
  try {
    const journey: unknown = JSON.parse(new TextDecoder().decode(bytes))
    const isOne =
      typeof journey === 'object' &&
      journey !== null &&
      FIELDS.every((name) => typeof Reflect.get(journey, name) === 'string')
    return isOne ? (journey as Journey) : undefined
  } catch {
    return undefined
  }
}
