// What a service's author may get wrong and no request would tell of: two of one name share their keys, and what stands behind
// another operation is never served. It is looked for when a region starts, which then says so and does not start.
import type { JobKind } from '../jobs/kind.ts'
import { serviceSubspace } from '../storage/keys.ts'
import type { FindOperation } from './find_operation.ts'
import type { Service, TenantOperation } from './service.ts'

/**
 * @param find among the operations of these services
 * @throws {RangeError} in words for whoever wrote the service
 */
export function checkServices(services: ReadonlyArray<Service>, find: FindOperation): void {
  const names = new Set<string>()
  for (const service of services) {
    const { name, operations, jobKinds = [] } = service
    serviceSubspace(name)
    if (names.has(name)) throw new RangeError(`two services are called ${name}: they would share their keys`)
    names.add(name)
    for (const kind of jobKinds as ReadonlyArray<JobKind>) checkKind(name, kind)
    const actions = new Set<string>()
    for (const operation of operations) {
      const action = `${name}.${operation.name}`
      if (actions.has(action)) throw new RangeError(`two operations are called ${action}`)
      actions.add(action)
      checkOperation(action, operation, find)
    }
  }
}

function checkKind(name: string, kind: JobKind): void {
  if ('upkeep' in kind || typeof kind.service !== 'string' || kind.service === name) return
  throw new RangeError(
    `the kind of job ${kind.kind} is of the service ${name}, and is to work in ${kind.service}`,
  )
}

function checkOperation(action: string, operation: TenantOperation, find: FindOperation): void {
  const { declaration, scope, invitees, speakers } = operation
  const what = `${declaration.method.toUpperCase()} ${declaration.path} (${action})`
  const found = find(declaration.method.toUpperCase(), declaration.path)
  if (found?.operation !== operation) {
    const instead = found === undefined ? 'nothing' : `${found.service.name}.${found.operation.name}`
    throw new RangeError(`${what} is never served: its path leads to ${instead}`)
  }
  for (const [status, schema] of Object.entries(declaration.answers)) {
    if (!canBe(Number(status), schema !== null)) {
      throw new RangeError(
        `${what} declares ${status}${schema ? ' with a body' : ''}: there is no such answer`,
      )
    }
  }
  if (operation.answers === 'outside' && declaration.answers[operation.status] === undefined) {
    throw new RangeError(`${what} answers ${operation.status}, and does not declare it`)
  }
  // People on their way in have no scopes, nor has a session that ends itself.
  const goesByScope = invitees === undefined && speakers.includes('api_key')
  if (goesByScope && declaration.method !== 'get' && !scope.endsWith(':write')) {
    throw new RangeError(`${what} may change something, and needs a scope for writing: not ${scope}`)
  }
}

function canBe(status: number, withBody: boolean): boolean {
  try {
    new Response(withBody ? '{}' : null, { status })
    return true
  } catch {
    return false
  }
}
