// A model that all tenants share: an OpenAI-compatible server of the operator's choice, and what its tokens cost.
import type { PlanName } from '../../shared/plans.ts'

export interface Model {
  /** What tenants call it. */
  name: string
  /** Where the upstream's `/chat/completions` is found. */
  baseUrl: string
  /** Null where the upstream takes none. Never shown. */
  apiKey: string | null
  /** What the upstream calls it. */
  upstreamModel: string
  /** In US dollars for a million tokens. */
  inputTokenPrice: number
  outputTokenPrice: number
  plans: ReadonlyArray<PlanName>
  enabled: boolean
  /** Calls of each region's process at the same time. */
  maxConcurrent: number
}

export const MODEL_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/
