// Which operation a method and path would reach, by the same matching as the routes themselves.
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { SmartRouter } from 'hono/router/smart-router'
import { TrieRouter } from 'hono/router/trie-router'
import { routedPath, routePattern } from '../operation.ts'
import type { Service, TenantOperation } from './service.ts'

export interface FoundOperation {
  service: Service
  operation: TenantOperation
}

export type FindOperation = (method: string, path: string) => FoundOperation | undefined

/** Looks at the services as they are now. */
export function operationFinder(services: ReadonlyArray<Service>): FindOperation {
  // As Hono has it: the quick router takes no fixed path beside a parameter.
  const router = new SmartRouter<FoundOperation>({ routers: [new RegExpRouter(), new TrieRouter()] })
  for (const service of services) {
    for (const operation of service.operations) {
      const { method, path } = operation.declaration
      router.add(method.toUpperCase(), routePattern(path), { service, operation })
    }
  }
  return (method, path) => {
    const [[found] = []] = router.match(method, routedPath(path))[0]
    return found
  }
}
