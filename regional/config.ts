// A region's configuration, read once from the environment. Every mistake is one line that names the variable.
import { z } from 'zod'
import { KEY_ENVIRONMENT } from '../shared/credentials/api_key.ts'
import { NONE_ACTIVE } from '../shared/credentials/roots.ts'
import { REGION_NAME } from '../shared/region.ts'
import { LOG_LEVELS } from './log.ts'
import { readOtlpHeaders } from './observe/otlp_headers.ts'

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const secret = z.string().regex(/^[\w-]{43}$/, 'is 32 bytes in base64url')
const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown
      } catch {
        context.addIssue({ code: 'custom', message: 'is not JSON' })
        return z.NEVER
      }
    })
    .pipe(schema)
/** As the edge reads one: a path would be lost between what an assertion is bound to and what is asked. */
const origin = z.url({ protocol: /^https?$/ }).transform((url, context) => {
  const { href, origin } = new URL(url)
  if (href !== `${origin}/`) context.addIssue({ code: 'custom', message: 'is more than an origin' })
  return origin
})
const regionName = z.string().regex(REGION_NAME)
const port = z.coerce.number().int().min(0).max(65_535)

const schema = z.object({
  /** This region's name. */
  REGION: regionName,
  /** The region that keeps the directory of tenants. */
  CONTROL_REGION: regionName,
  /** Every region's instances: `{"us":["http://…"]}`. */
  REGIONS: json(z.record(regionName, z.array(origin).min(1))),
  /** Every region's assertion keys, the signing one first. */
  ASSERTION_KEYS: json(z.record(regionName, z.array(z.object({ kid: z.string().min(1), secret })).min(1))),
  SIGNING_ROOTS: json(
    z
      .array(
        z.object({
          id: z.number().int().min(0).max(255),
          secret,
          state: z.enum(['active', 'retired', 'compromised']),
        }),
      )
      .refine((roots) => roots.some(({ state }) => state === 'active'), NONE_ACTIVE),
  ),
  OPERATORS: json(
    z.array(z.object({ id: z.string().min(1), role: z.enum(['admin', 'read']), secretHash: secret })),
  ),
  /** Seals what is stored sealed: 32 bytes of this region alone. After a comma, former ones, which only open. */
  SEALING_KEY: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.tuple([secret], secret)),
  /** The middle of an API key: `ck_<environment>_…`. */
  KEY_ENVIRONMENT: z.string().regex(KEY_ENVIRONMENT, 'is two to eight letters').default('live'),
  /** `on`: tenants may register OpenID issuers of this machine, over http. Nowhere but on a developer's. */
  DEVELOPMENT_ISSUERS: z.enum(['on', 'off']).default('off'),
  /**
   * Hosts that webhooks may be sent to over http, and in private networks, by name or address: `localhost,127.0.0.1`.
   * Nowhere but on a developer's machine; none by default.
   */
  WEBHOOK_DEVELOPMENT_HOSTS: z
    .string()
    .default('')
    .transform((text) => text.split(',').map((host) => host.trim()))
    .transform((hosts) => new Set(hosts.filter((host) => host !== '')))
    .refine((hosts) => [...hosts].every((host) => /^[\w.:[\]-]+$/.test(host)), 'is not a list of hosts'),
  /** Where mail goes out: `smtp://user:password@host:port`, or `smtps:`. Without it links are shown instead. */
  SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
  /** `open`: strangers may make organisations on the free plan, once they have confirmed an e-mail address. */
  SIGNUP: z.enum(['open', 'closed']).default('closed'),
  /** Whom mail comes from. */
  MAIL_FROM: z.string().regex(/@/, 'has an address').optional(),
  /** How long a stop may take, in milliseconds, from the signal to the end. */
  DRAIN_MS: z.coerce.number().int().min(100).max(600_000).default(10_000),
  /** Of the log: `info` has a line for each request. */
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  /** Where traces go, by OTLP over HTTP: `<endpoint>/v1/traces`. Without it none are made. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  /** Sent with them: `name=value,name=value`. */
  OTEL_EXPORTER_OTLP_HEADERS: z.string().transform(readOtlpHeaders).default({}),
  /** Of all traces, how many are kept: from 0 to 1. */
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_SERVICE_NAME: z.string().default('coditect-region'),
  /** `off`: requests are let in as they come. For comparisons. */
  ADMISSION: z.enum(['on', 'off']).default('on'),
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(9101),
  /** Listeners in this process, each an instance of the app of its own. */
  REGION_INSTANCES: z.coerce.number().int().min(1).max(64).default(1),
  /** Where all but the first listen, in order: `9103,9104`. Free ones by default. */
  INSTANCE_PORTS: z
    .string()
    .default('')
    .transform((text): unknown[] => (text === '' ? [] : text.split(',')))
    .pipe(z.array(port)),
  /** Where the embedded database lies, when no cluster is given. */
  DATA_DIR: z.string().optional(),
  FDB_CLUSTER_FILE: z.string().optional(),
  /** Stands before every key: one for each region, where regions share a cluster. Never changed once there is data. */
  ROOT_PREFIX: z.string().default(''),
})

export type RegionConfig = z.infer<typeof schema>

/** The names of all settings. */
export const SETTINGS: ReadonlyArray<string> = Object.keys(schema.shape)

/** @throws {ConfigError} */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): RegionConfig {
  // An empty one is not set: a manifest can't always leave out what it has no value for.
  const given = Object.fromEntries(Object.entries(environment).filter(([, text]) => text !== ''))
  const parsed = schema.safeParse(given)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: 'is not valid' }
    throw new ConfigError(`${path.join('.')}: ${message}`)
  }
  const config = parsed.data
  for (const region of [config.REGION, config.CONTROL_REGION]) {
    if (config.REGIONS[region] === undefined) throw new ConfigError(`REGIONS: has no ${region}`)
    if (config.ASSERTION_KEYS[region] === undefined)
      throw new ConfigError(`ASSERTION_KEYS: has none for ${region}`)
  }
  if (config.SMTP_URL !== undefined && config.MAIL_FROM === undefined) {
    throw new ConfigError('MAIL_FROM: is missing (SMTP_URL is set)')
  }
  if (config.SIGNUP === 'open' && config.SMTP_URL === undefined) {
    throw new ConfigError('SIGNUP: needs SMTP_URL, for the letters that confirm addresses')
  }
  if (config.FDB_CLUSTER_FILE === undefined && config.DATA_DIR === undefined) {
    throw new ConfigError('DATA_DIR: is missing (or set FDB_CLUSTER_FILE to use a cluster)')
  }
  return config
}
