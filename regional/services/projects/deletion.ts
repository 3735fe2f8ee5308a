// What lies below a deleted project, removed service by service. The project is gone for every reader before this
// begins, so nothing is added meanwhile. Each step sees the subspace of one service only.
import { jobKind, type Step, UNTIL_DONE } from '../../jobs/kind.ts'
import type { Service } from '../../tenancy/service.ts'

interface Place {
  /** Whose turn it is. */
  service: string
  /** What its last step left. */
  inner?: unknown
  /** How much the services before it have removed. */
  before: number
}

type ServiceBelow = Service & Required<Pick<Service, 'belowProject'>>
const isBelow = (service: Service): service is ServiceBelow => service.belowProject !== undefined

/** @param all every service of the platform, in the order in which they take their turns */
export function projectDeletion(all: () => ReadonlyArray<Service>) {
  const below = (): ReadonlyArray<ServiceBelow> => all().filter(isBelow)
  return jobKind<{ projectId: string }, Place>({
    kind: 'projects.delete',
    promised: true,
    service: ({ place }) => place?.service ?? below()[0]?.name ?? 'projects',
    retry: UNTIL_DONE,
    async step(tx, { payload: { projectId }, place }): Promise<Step<Place>> {
      const services = below()
      const turn = place === undefined ? 0 : services.findIndex(({ name }) => name === place.service)
      const service = services[turn]
      const before = place?.before ?? 0
      if (service === undefined) {
        if (place === undefined) return { finished: true, done: 0 }
        throw new Error(
          `the service ${place.service} is to remove what it has below a project, and is not here`,
        )
      }
      const step = await service.belowProject(tx, projectId, place?.inner)
      const done = before + (step.done ?? 0)
      if ('failed' in step) return { failed: step.failed, done }
      if ('next' in step) {
        const { next: inner, total, runAtMs } = step
        return {
          next: { service: service.name, inner, before },
          done,
          ...(total !== undefined && { total: before + total }),
          ...(runAtMs !== undefined && { runAtMs }),
        }
      }
      const following = services[turn + 1]
      if (following === undefined) return { finished: true, done }
      return { next: { service: following.name, before: done }, done }
    },
  })
}
