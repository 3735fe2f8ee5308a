// Stage one in the pipeline: who asks, or why that can't be told. Failures are counted by address.
import { MAX_HOOK_BYTES, RECEIVE_PATH } from '../../shared/credentials/source_token.ts'
import { PROBLEMS, Problem } from '../../shared/problems.ts'
import { ofTenant, type RequestContext } from '../context.ts'
import type { Counts } from '../counts.ts'
import type { EdgeConfig } from '../env.ts'
import { retryAfterSeconds } from '../limit/fields.ts'
import type { Stage } from '../stage.ts'
import type { FailedAttempts } from './failed_attempts.ts'
import type { Identify, Part } from './index.ts'
import type { Refusals } from './refusals.ts'
import { identifySource } from './source_token.ts'

const REFUSALS = {
  credential_missing: 'Send a credential in the Authorization header, as a Bearer token.',
  credential_invalid: 'It is wrong, has ended, or is of a kind that is not taken here.',
  conflicting_credentials: 'Send one credential only.',
  tenant_mismatch: 'The credential, the host and X-Tenant have to name one and the same organisation.',
  identity_provider_unavailable: 'The identity provider does not answer as it should.',
  region_unavailable: 'The region that knows whose tokens hold does not answer. Nothing was done.',
  signed_url_expired: 'Ask whoever sent you this URL for a new one.',
} as const

export const tenantMismatch = (): Problem => new Problem('tenant_mismatch', REFUSALS.tenant_mismatch)

/** Counts a failed attempt of the address. @throws {Problem} `too_many_failures` */
export type NoteFailure = (address: string | undefined) => void

export const noting =
  (failures: FailedAttempts, counts: Counts): NoteFailure =>
  (address) => {
    counts.add('failed_attempts')
    const throttled = failures.note(address, Date.now())
    if (throttled === undefined) return
    counts.add('failed_attempts_throttled')
    throw new Problem('too_many_failures', 'Valid credentials are let in all the same.', {
      headers: { 'retry-after': String(retryAfterSeconds(throttled.retryAfterMs)) },
    })
  }

export const identifying =
  (identify: Identify, noteFailure: NoteFailure) =>
  (part: Part): Stage =>
    async function identifying(context) {
      const verdict = await identify(context, part)
      if (verdict.outcome === 'refused') {
        const { code } = verdict
        if (code === 'credential_invalid') noteFailure(context.clientIp)
        throw new Problem(code, REFUSALS[code], {
          ...(PROBLEMS[code].status === 503 && { headers: { 'retry-after': '2' } }),
        })
      }
      const { identity } = verdict
      context.identity = identity
      if (identity.kind === 'signed_url') context.target = identity.target
      return undefined
    }

/** A third party, by the token in the path. The region is asked for a path of its own, so the token goes no further. */
export const identifyingSource = ({ roots }: EdgeConfig, noteFailure: NoteFailure): Stage =>
  async function identifyingSource(context: RequestContext) {
    const identity = await identifySource(context.path, roots)
    if (identity === undefined) {
      noteFailure(context.clientIp)
      throw new Problem('not_found', 'There is nothing at this path.')
    }
    if (Number(context.headers.get('content-length')) > MAX_HOOK_BYTES) {
      throw new Problem('body_too_large', `A webhook has at most ${MAX_HOOK_BYTES} bytes.`)
    }
    context.identity = identity
    context.target = RECEIVE_PATH
    // A third party's own, if it sends one.
    context.claimedTenant = undefined
    return undefined
  }

/** A credential that its region has refused a moment ago takes nothing of its tenant's limits. */
export const holdingBack = (refusals: Refusals, noteFailure: NoteFailure): Stage =>
  function holdingBack({ principal, path, clientIp }) {
    const code = ofTenant(principal) ? refusals.of(principal, path, Date.now()) : undefined
    if (code === undefined) return undefined
    noteFailure(clientIp)
    throw new Problem(code, 'Its region has refused it a moment ago. Nothing was done.')
  }

/** What the edge could not prove, and the region knows nothing of, is a failed attempt as well. */
export const provingLate = (forward: Stage, noteFailure: NoteFailure): Stage =>
  async function provingLate(context) {
    const answer = await forward(context)
    const { identity, clientIp } = context
    if (answer?.status !== 401 || identity === undefined || !('unproven' in identity) || !identity.unproven) {
      return answer
    }
    try {
      noteFailure(clientIp)
    } catch (problem) {
      await answer.body?.cancel()
      throw problem
    }
    return answer
  }

/** Whose provider has changed since the edge read of it is identified by what it says now, once, and asked for again. */
export const identifyingAnew = (identify: Stage, locate: Stage, forward: Stage): Stage =>
  async function identifyingAnew(context) {
    const answer = await forward(context)
    if (!context.outdated) return answer
    await answer?.body?.cancel()
    await identify(context)
    await locate(context)
    return forward(context)
  }
