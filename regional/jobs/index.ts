// Every kind of job that the platform has. To add one: declare it with `jobKind` in its service's folder, and a line here.
import { isolationEnds } from '../tenancy/isolation.ts'
import { sweep } from './expiry.ts'

export const ownJobKinds: ReadonlyArray<unknown> = [sweep, isolationEnds]
