// What the loopback regions (test/support/loopback_region.ts) tell the tests inside workerd.

import type { JWK } from 'jose'

/** A request as it came over the wire. */
export interface Seen {
  /** The listener that it came to: `us` for the steady one, `eu` for the other. */
  region: string
  method: string
  target: string
  headers: Record<string, string>
  body: string
  /** The edge went away before the answer's end. */
  aborted: boolean
}

declare module 'vitest' {
  interface ProvidedContext {
    /** OpenID issuers of `test/support/oidc_issuers.ts`. */
    issuers: { origin: string; privateKeys: JWK[] }
    /** `steady` always listens; `fragile` is for the one test file that takes it down; `other` can tell itself from the
     * steady one. */
    regions: { control: string; steady: string; fragile: string; other: string }
  }
}
