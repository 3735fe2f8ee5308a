// Models as the services see them: by name, in each tenant's turn, and never where they run.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { ModelAccess } from '../services/agents/models.ts'
import type { Catalogue } from './catalogue.ts'
import { type CallTimes, callModel, notCalled } from './gateway.ts'
import { ModelPools } from './pool.ts'
import type { CallWatch } from './watch.ts'

export function modelAccess(
  catalogue: Catalogue,
  watch: Pick<CallWatch, 'know' | 'called'>,
  times?: CallTimes,
): ModelAccess {
  const pools = new ModelPools()
  catalogue.onHeard((models) => {
    watch.know(new Set(models.keys()))
    const on = [...models].filter(([, { enabled }]) => enabled)
    pools.resize(new Map(on.map(([name, { maxConcurrent }]) => [name, maxConcurrent])))
  })
  return {
    offered: () => catalogue.enabled(),
    async roomFor(name: string, tenant: TenantNumber) {
      const model = (await catalogue.enabled()).get(name)
      return model === undefined ? 'room' : pools.roomFor(name, tenant, model.maxConcurrent)
    },
    async call(name, tenant, prompt, during) {
      const model = (await catalogue.enabled()).get(name)
      // Switched off since the run began.
      if (model === undefined) return notCalled('upstream_unavailable')
      const waiting = AbortSignal.any([during.signal, ...(during.inLine ? [during.inLine] : [])])
      const turn = await pools.inTurn(name, tenant, model.maxConcurrent, waiting, async () => {
        // It may have been changed during the wait.
        const present = (await catalogue.enabled()).get(name)
        if (present === undefined) return notCalled('upstream_unavailable')
        const called = await callModel(present, prompt, during, times)
        watch.called(name, called)
        return called
      })
      return turn === 'off' ? notCalled('upstream_unavailable') : turn
    },
  }
}
