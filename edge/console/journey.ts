// One browser on its way to an identity provider and back, as its cookie carries it.
import { fromBase64url, toBase64url, utf8 } from '../../shared/bytes.ts'
import type { SignInBegin } from '../../shared/sign_in.ts'

export type Journey = SignInBegin & { slug: string }

const FIELDS = ['slug', 'provider', 'state', 'nonce', 'verifier', 'redirectUri'] as const

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
