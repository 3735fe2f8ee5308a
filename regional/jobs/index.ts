// Every kind of job that the platform has. To add one: declare it with `jobKind` in its service's folder, and a line here.
import { buildIndexes } from '../services/records/build.ts'
import { clearDropped } from '../services/records/clear.ts'
import { expireRecords } from '../services/records/expiry.ts'
import { sweep } from './expiry.ts'

export const ownJobKinds: ReadonlyArray<unknown> = [sweep, buildIndexes, clearDropped, expireRecords]
