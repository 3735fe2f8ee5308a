// What can be set from outside, read once. A mistake is one line that names the variable.
import { resolve } from 'node:path'
import { z } from 'zod'
import type { OperatorConfig } from '../shared/credentials/operator_token.ts'
import type { Limit } from '../shared/limits.ts'
import { StartError } from './start_error.ts'

/** The regions of a stack on one machine; the first is the control region. */
export const REGIONS = ['us', 'eu'] as const
export type RegionName = (typeof REGIONS)[number]
export const CONTROL_REGION: RegionName = 'us'

/** As the region has it. */
const MOST_INSTANCES = 64

export type Environment = Readonly<Record<string, string | undefined>>

export interface Settings {
  /** Where the edge listens; 0 is any free port. */
  port: number
  regionPorts: Readonly<Record<RegionName, number>>
  /** Listeners in each region's process. */
  instances: number
  /** Absolute. */
  dataDir: string
  /** Variables for each region's database: a cluster's, or none for the embedded one. */
  database: Readonly<Record<RegionName, Record<string, string>>>
  /** Beside the developer's own. */
  operators: ReadonlyArray<OperatorConfig>
  /** Undefined: as the edge has it. */
  failureLimit: Limit | undefined
}

const operatorsSchema = z.array(
  z.object({
    id: z.string().min(1),
    role: z.enum(['admin', 'read']),
    secretHash: z.string().regex(/^[\w-]{43}$/, 'is not 32 bytes in base64url'),
  }),
)
const limitSchema = z.object({ rate: z.number().positive(), burst: z.number().min(1) })

/** @throws {StartError} */
export function readSettings(environment: Environment): Settings {
  const ports = (environment.REGION_PORTS || '9101,9102').split(',')
  if (ports.length !== REGIONS.length) {
    throw new StartError(`REGION_PORTS has a port for each of ${REGIONS.join(' and ')}, such as 9101,9102`)
  }
  const [us, eu] = ports.map((text) => readPort('REGION_PORTS', text))
  if (us === eu && us !== 0) {
    throw new StartError(`REGION_PORTS has the port ${us} twice: each region has one of its own`)
  }
  return {
    port: readPort('PORT', environment.PORT || '8787'),
    regionPorts: { us: us ?? 0, eu: eu ?? 0 },
    instances: readInstances(environment.REGION_INSTANCES || '1'),
    dataDir: resolve(environment.DATA_DIR || '.data'),
    database: { us: databaseOf('us', environment), eu: databaseOf('eu', environment) },
    operators: readJson('OPERATORS', environment, operatorsSchema) ?? [],
    failureLimit: readJson('FAILURE_LIMIT', environment, limitSchema),
  }
}

function readPort(name: string, text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text.trim()) || port > 65_535) {
    throw new StartError(`${name}: ${text} is not a port (0 to 65535, 0 for any free one)`)
  }
  return port
}

function readInstances(text: string): number {
  const instances = Number(text)
  if (!/^\d{1,2}$/.test(text.trim()) || instances < 1 || instances > MOST_INSTANCES) {
    throw new StartError(`REGION_INSTANCES: ${text} is not a number from 1 to ${MOST_INSTANCES}`)
  }
  return instances
}

function readJson<T>(name: string, environment: Environment, schema: z.ZodType<T>): T | undefined {
  const text = environment[name]
  if (!text) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new StartError(`${name} is not JSON`)
  }
  const { success, data, error } = schema.safeParse(value)
  if (success) return data
  const { path, message } = error.issues[0] ?? { path: [], message: 'is not valid' }
  throw new StartError(`${[name, ...path].join('.')}: ${message}`)
}

/** A cluster that regions share gives each a root prefix of its own name; a cluster of its own needs none. */
function databaseOf(region: RegionName, environment: Environment): Record<string, string> {
  const { FDB_CLUSTER_FILE: shared, ROOT_PREFIX: root = '' } = environment
  const own = environment[`FDB_CLUSTER_FILE_${region.toUpperCase()}`]
  if (own) return { FDB_CLUSTER_FILE: resolve(own), ROOT_PREFIX: root }
  if (shared) return { FDB_CLUSTER_FILE: resolve(shared), ROOT_PREFIX: root + region }
  return {}
}

export const HELP = `Usage: npm start

Starts Coditect on this machine: the edge in workerd, and the regions us and eu as Node processes.
Ctrl-C stops all of it.

  PORT               where the edge listens (8787; 0 for any free port)
  REGION_PORTS       where the regions listen (9101,9102; 0 for any free port)
  DATA_DIR           data, logs, secrets and dev.json (.data)
  REGION_INSTANCES   listeners in each region's process (1)
  FDB_CLUSTER_FILE   a FoundationDB cluster for both regions, in place of the embedded database
  FDB_CLUSTER_FILE_US, FDB_CLUSTER_FILE_EU   a cluster for each
  OPERATORS          operators beside the developer's own ([])
  FAILURE_LIMIT      invalid credentials of one address, a second and at once ({"rate":5,"burst":500})
  LIMITS             off: no rate limits, for benchmarks that compare (on)
  WEBHOOK_DEVELOPMENT_HOSTS   hosts that webhooks may be sent to over http, in private networks too (none)
  ROOT_PREFIX        stands before every key in a cluster`
