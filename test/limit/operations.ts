// What there is for tenants to ask, for tests that hold the edge's patterns to it.
import { type ServiceOptions, services } from '../../regional/services/index.ts'

const nothing = (): never => {
  throw new Error('nothing is asked for here')
}
/** What the operations work with; here they are only looked at. */
const parts: unknown = new Proxy(Object.assign(nothing, {}), { get: () => parts })

export const operations = services(parts as ServiceOptions).flatMap((service) => service.operations)

/** A declared path as a request may have it. */
export const pathOf = (path: string): string => path.replaceAll(/\{\w+\}/g, 'prj_01h455vb4pex5vsknk084sn02q')
