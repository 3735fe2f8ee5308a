// What a tenant may ask until a region has said it: as much as on the plan `team` (a test holds it to that), enough for the
// first requests of a large one. The plans themselves stay out of what a cold isolate has to load.
import type { Limits } from '../../shared/limits.ts'

export const FIRST_LIMITS: Limits = {
  tenant: { rate: 500, burst: 1_000 },
  key: { rate: 450, burst: 900 },
  ip: { rate: 400, burst: 800 },
}
/** At the same time. */
export const FIRST_STREAMS = 200
