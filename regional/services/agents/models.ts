// What agents need of the platform's models. A service does not know where they run.
import type { PlanName } from '../../../shared/plans.ts'
import { Problem } from '../../../shared/problems.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
import type { Called, Prompt } from '../../models/gateway.ts'

export interface OfferedModel {
  name: string
  inputTokenPrice: number
  outputTokenPrice: number
  plans: ReadonlyArray<PlanName>
}

/**
 * `room`: a call would begin, or wait in a queue that is not full. Otherwise whose calls wait already: as many of this tenant's as
 * may, or as many of all.
 */
export type Room = 'room' | 'tenant_waits' | 'all_wait'

export interface ModelAccess {
  /** Those that are switched on, by name. */
  offered(): Promise<ReadonlyMap<string, OfferedModel>>
  roomFor(model: string, tenant: TenantNumber): Promise<Room>
  /**
   * In the tenant's turn. Never rejects: whatever the upstream does is an outcome.
   * @param during `inLine` ends the waiting alone
   * @returns undefined when a signal aborted before its turn came
   */
  call(
    model: string,
    tenant: TenantNumber,
    prompt: Prompt,
    during: { signal: AbortSignal; inLine?: AbortSignal; onText: (text: string) => Promise<void> },
  ): Promise<Called | undefined>
}

/**
 * The model that an agent's run goes to: the one that it names, or the first that the plan may use.
 * @throws {Problem} `no_model_configured`, `model_unavailable`
 */
export function chosenModel(
  offered: ReadonlyMap<string, OfferedModel>,
  name: string | null,
  plan: PlanName,
): OfferedModel {
  if (offered.size === 0) {
    throw new Problem(
      'no_model_configured',
      'The platform has no model yet. Its operator adds one with POST /platform/v1/models.',
    )
  }
  const model =
    name === null ? [...offered.values()].find(({ plans }) => plans.includes(plan)) : offered.get(name)
  if (model === undefined) {
    const which = name === null ? 'Your plan may use none of the models.' : `There is no model ${name}.`
    throw new Problem('model_unavailable', `${which} GET /v1/models lists those there are.`)
  }
  if (!model.plans.includes(plan)) {
    throw new Problem('model_unavailable', `The plan ${plan} may not use the model ${model.name}.`)
  }
  return model
}
