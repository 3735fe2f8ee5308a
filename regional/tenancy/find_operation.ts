// Which operation a method and path would reach, by the same matching as the routes themselves.
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { routedPath, routePattern } from '../operation.ts'
import type { Service, TenantOperation } from './service.ts'

export interface FoundOperation {
  service: Service
  operation: TenantOperation
}

export type FindOperation = (method: string, path: string) => FoundOperation | undefined

/** Looks at the services when it is first asked, so that one of them may be given it. */
export function operationFinder(services: ReadonlyArray<Service>): FindOperation {
  let router: RegExpRouter<FoundOperation> | undefined
  return (method, path) => {
    router ??= routerOf(services)
    const [[found] = []] = router.match(method, routedPath(path))[0]
    return found
  }
}

function routerOf(services: ReadonlyArray<Service>): RegExpRouter<FoundOperation> {
  const router = new RegExpRouter<FoundOperation>()
  for (const service of services) {
    for (const operation of service.operations) {
      const { method, path } = operation.declaration
      router.add(method.toUpperCase(), routePattern(path), { service, operation })
    }
  }
  return router
}
