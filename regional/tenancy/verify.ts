// verify: the first stage of a region. What comes out of here is branded: nothing else can make a Verified, so
// nothing that needs one runs without an assertion that held.
import { ASSERTION } from '../../shared/headers.ts'
import type { Principal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { noted } from '../observe/request.ts'
import type { AssertionVerifier } from './assertion.ts'

declare const verified: unique symbol

/** A request that came through the edge (or from another region), and who it speaks for. */
export interface Verified<P extends Principal = Principal> {
  readonly [verified]: true
  readonly principal: P
  readonly requestId: string
  /** What the client sent as that, whatever it is. Never a third party's: its refusals must not outlive what was wrong. */
  readonly idempotencyKey: string | undefined
  /** Where clients find the edge that it came through; undefined between regions. */
  readonly publicOrigin: string | undefined
}

/** @throws {Problem} `assertion_invalid` */
export function verify({ method, url, headers }: Request, verifier: AssertionVerifier): Verified {
  const target = url.slice(url.indexOf('/', url.indexOf('://') + 3))
  const assertion = headers.get(ASSERTION)
  const verdict = verifier(assertion ?? '', { method, target })
  if (verdict.outcome === 'refused') {
    const note = noted()
    if (note !== undefined && assertion !== null) {
      note.why = verdict.why
      note.isNoAnswer = !verdict.madeForAnother
    }
    throw new Problem('assertion_invalid', 'Regions answer to the edge only. Send the request to the edge.')
  }
  const { principal, requestId, publicOrigin } = verdict
  const idempotencyKey = principal.kind === 'webhook_source' ? undefined : verdict.idempotencyKey
  return { principal, requestId, idempotencyKey, publicOrigin } as Verified
}

/** Narrows to some kinds of principal. @throws {Problem} `credential_invalid` for any other kind. */
export function speakingAs<K extends Principal['kind']>(
  request: Verified,
  ...kinds: ReadonlyArray<K>
): Verified<Extract<Principal, { kind: K }>> {
  if (!kinds.some((kind) => kind === request.principal.kind)) {
    throw new Problem('credential_invalid', 'This kind of credential is not accepted here.')
  }
  return request as Verified<Extract<Principal, { kind: K }>>
}
