// A region as a Node process: opens the database, wires everything together in this one place, listens, and stops
// in order. It ends with exit code 1 and one line when it cannot start.
import { resolveTxt as dnsTxt } from 'node:dns/promises'
import { importAssertionKey } from '../shared/assertion.ts'
import { Roots } from '../shared/credentials/roots.ts'
import { mintSourceToken } from '../shared/credentials/source_token.ts'
import { LOOPBACK } from '../shared/issuer.ts'
import { Admission, type TakeTurn } from './admission/admission.ts'
import { admissionGauges, eventLoopMeter } from './admission/load.ts'
import { NoisyDetector } from './admission/noisy.ts'
import { type AppDependencies, regionApp } from './app.ts'
import { Background } from './background.ts'
import { collectInTheBackground } from './collection.ts'
import { ConfigError, type RegionConfig, readConfig } from './config.ts'
import { AT_ONCE, type Drain, drainWithin, Instance } from './instance.ts'
import { sweep } from './jobs/expiry.ts'
import { jobKinds } from './jobs/kind.ts'
import type { VisitDependencies } from './jobs/visit.ts'
import { JobWorker } from './jobs/worker.ts'
import { jsonLog, type WriteLog } from './log.ts'
import { regionMetrics } from './metrics.ts'
import { modelAccess } from './models/access.ts'
import { Catalogue, ModelStore } from './models/catalogue.ts'
import type { CallTimes } from './models/gateway.ts'
import { CallWatch } from './models/watch.ts'
import { startTracing } from './observe/tracing.ts'
import { outboundClient } from './outbound/client.ts'
import type { ConnectOptions } from './outbound/connect.ts'
import { type Calls, localCalls, remoteCalls } from './platform/calls.ts'
import { contestDomain, recheckDomain } from './platform/contested_domain.ts'
import { Directory } from './platform/directory.ts'
import { edgeCalls } from './platform/edge_calls.ts'
import { finishProvisioning } from './platform/finisher.ts'
import { loadMeter } from './platform/load.ts'
import { modelOperations } from './platform/model_routes.ts'
import { type DigestKeys, OperatorRequests } from './platform/operator_requests.ts'
import { TenantProvisioner } from './platform/provisioning.ts'
import { settleRestored } from './platform/restored.ts'
import { platformOperations } from './platform/routes.ts'
import { signIns } from './platform/sign_in.ts'
import { signUpCalls } from './platform/sign_up.ts'
import { readinessOf } from './readiness.ts'
import { type DomainOptions, recheckingDomain } from './services/domains/check.ts'
import { services } from './services/index.ts'
import { standardOutput } from './standard_output.ts'
import { keySpace } from './storage/keys.ts'
import { openEngine, StorageError, type WriteFailure } from './storage/open.ts'
import { assertionVerifier } from './tenancy/assertion.ts'
import { Costs } from './tenancy/cost.ts'
import { CredentialUses, PARTS } from './tenancy/credential_uses.ts'
import { TenantEraser } from './tenancy/erasure.ts'
import { Sealer } from './tenancy/idempotency.ts'
import { Isolations, isolationEnds } from './tenancy/isolation.ts'
import { TenantLifecycle } from './tenancy/lifecycle.ts'
import { adminLinking, invitationTokens, minting, urlSigning } from './tenancy/mint.ts'
import { OutsideWorks } from './tenancy/outside.ts'
import { ownKeys } from './tenancy/own_keys.ts'
import { ShardLoans } from './tenancy/quotas.ts'
import { RefusalLog } from './tenancy/refusals.ts'
import { RegionDatabase, type Scope } from './tenancy/region_database.ts'
import type { Attempt } from './tenancy/retry.ts'
import type { Service } from './tenancy/service.ts'
import { Tails } from './tenancy/tails.ts'
import { flushSpace, UsageMeter } from './tenancy/usage.ts'
import { tellUnwaited } from './unwaited.ts'
import { WebhookDeliveries } from './webhooks/deliveries.ts'

/** How often half-made tenants are looked for. */
const FINISH_EVERY_MS = 5_000
/** Until the control region answers: whoever is to be erased again is let in so long. */
const SETTLE_EVERY_MS = 1_000
const REFUSALS_EVERY_MS = 2_000
const USAGE_EVERY_MS = 1_000
/** So that each tenant has its turn once a minute. */
const USES_EVERY_MS = 60_000 / PARTS
const MODELS_EVERY_MS = 2_000
const SWEEP_EVERY_MS = 60_000
const RENAME_EVERY_MS = 10_000
const LOAD_EVERY_MS = 1_000
/** So long, and so much of the drain, what is left of traces may take. */
const STOP_TRACING_MS = 1_000
const STOP_TRACING_SHARE = 0.1
/** For whoever waits to hear that their change was not stored. */
const LAST_ANSWERS_MS = 250

export interface Region {
  /** The app itself, for requests that come by no listener of ours, one at a time: it holds no streams open. */
  app(): Promise<ReturnType<typeof regionApp>>
  /** Writes down what is only in memory, such as usage. What can't be written is logged, and stays for the next time. */
  flush(): Promise<void>
  /** One an instance, in the order they were opened. */
  urls: ReadonlyArray<string>
  /**
   * Resolves when the database takes no more changes, or what the region does all the time may have ended: the process is to end,
   * for whoever supervises it to start it again.
   */
  broken: Promise<void>
  /** Told of a promise that nobody waited for, where it rejected. */
  unwaited(reason: unknown): void
  /** Ends one instance at once, connections and all, as its crash would; the others go on. */
  dropInstance(index: number): Promise<void>
  /** Drains one instance and starts another in its place, as a rolling restart does. */
  restartInstance(index: number, drain: Drain): Promise<void>
  close(drain?: Drain): Promise<void>
}

/** What a test may put into a region. */
export interface RegionParts {
  /** Opens the engine: faults can be put between it and everything above. */
  open?: typeof openEngine
  /** Services beside the platform's own. */
  extraServices?: ReadonlyArray<Service>
  /** Kinds of job beside the platform's own. */
  extraJobKinds?: ReadonlyArray<unknown>
  /** Milliseconds since 1970. */
  now?: () => number
  /** Looks up TXT records; DNS otherwise. */
  resolveTxt?: DomainOptions['resolveTxt']
  /** How long models may be silent. */
  modelTimes?: CallTimes
  /** How webhooks go out: looks up their hosts, and says which addresses may be connected to. */
  outbound?: Partial<ConnectOptions> & { timeoutMs?: number }
  /** Tenants whose webhooks one instance has in hand at a time. */
  deliveringTenants?: number
  /** Where the log goes; standard output otherwise. */
  writeLog?: WriteLog
  /** Whether no more requests are wanted for now. */
  overloaded?: () => boolean
}

/**
 * @throws {ConfigError | StorageError} and errors of `listen`, such as EADDRINUSE
 */
export async function startRegion(config: RegionConfig, parts: RegionParts = {}): Promise<Region> {
  const {
    open = openEngine,
    extraServices = [],
    extraJobKinds = [],
    resolveTxt = dnsTxt,
    modelTimes,
    now = Date.now,
  } = parts
  const { REGION: region, CONTROL_REGION: controlRegion } = config
  const metrics = regionMetrics(region, Object.keys(config.REGIONS))
  const output =
    parts.writeLog === undefined
      ? standardOutput(() => metrics.logLinesLost.inc())
      : { write: parts.writeLog, flush: () => {} }
  const log = jsonLog(region, output.write, config.LOG_LEVEL)
  const broken = Promise.withResolvers<void>()
  let isBroken = false
  const breaks = (): void => {
    isBroken = true
    broken.resolve()
  }
  let isDamaged = false
  const onWriteFailure = ({ message: failure, rolledBack, damaged }: WriteFailure): void => {
    if (damaged) {
      // Found again with everything that touches it, and said once.
      if (!isDamaged) {
        log.error(
          'THE DATA FILE IS DAMAGED: stop the region, check the disk and restore a backup (docs/storage.md). What touches the damage is refused',
          { failure },
        )
      }
      isDamaged = true
      if (rolledBack) return
    } else if (rolledBack) {
      log.error(
        'changes could not be stored: see whether the disk is full, and make room on it. To clear data takes some, too',
        { failure },
      )
      return
    }
    log.error('the database takes no more changes: check the disk. The process ends, to be started again', {
      failure,
    })
    breaks()
  }
  const engine = await open({
    onWriteFailure,
    ...(config.FDB_CLUSTER_FILE !== undefined && { clusterFile: config.FDB_CLUSTER_FILE }),
    ...(config.DATA_DIR !== undefined && { dataDir: config.DATA_DIR }),
  })
  const tracing =
    config.OTEL_EXPORTER_OTLP_ENDPOINT === undefined
      ? undefined
      : await startTracing({
          ...tracingConfig(config, config.OTEL_EXPORTER_OTLP_ENDPOINT),
          lost: (spans) => metrics.spansLost.inc(spans),
          log,
        })
  const database = new RegionDatabase(engine.native, keySpace(config.ROOT_PREFIX), (violation) => {
    metrics.isolationViolated()
    log.error('an isolation violation was refused', { event: 'isolation_violation', error: violation })
  })
  try {
    await ownKeys(database, region)
  } catch (error) {
    // Without an answer it starts all the same, is not ready, and serves when there is one.
    if (error instanceof StorageError) {
      await engine.close()
      throw error
    }
    log.error('could not see whose data this is', { error })
  }
  const roots = await Roots.import(config.SIGNING_ROOTS)
  const mint = minting(config.KEY_ENVIRONMENT, region, roots)
  const linkAdmin = adminLinking(region, roots)
  const bytesOf = (key: string): Buffer => Buffer.from(key, 'base64url')
  const [currentKey, ...formerKeys] = config.SEALING_KEY
  const sealingKeys: DigestKeys = [bytesOf(currentKey), ...formerKeys.map(bytesOf)]
  const sealer = new Sealer(...sealingKeys)
  const lifecycle = new TenantLifecycle({ database, region, mint, linkAdmin, sealer, now })
  const directory = new Directory(database)
  const eraser = new TenantEraser({
    database,
    release: async (number) => void (await callsTo(controlRegion).release({ number, region })),
    overwriteCleared: () => engine.overwriteCleared(),
    stepped: (kind, outcome, seconds) => metrics.jobSteps.observe({ kind, outcome }, seconds),
    ...{ log, now },
  })
  const loans = new ShardLoans()
  const refusals = new RefusalLog(database)
  const usage = new UsageMeter(database, now)
  const uses = new CredentialUses(database)

  const transactions = { database, sealer, loans, refusals, usage, uses, now }
  const noisy = new NoisyDetector()
  const isolations = new Isolations({ database, now, log })
  const admission = new Admission({
    now,
    on: config.ADMISSION === 'on',
    busy: eventLoopMeter(),
    isolated: (tenant) => noisy.isIsolated(tenant),
    onUse: (tenant, weight, units, served) => noisy.used(tenant, weight, units, served),
  })
  const { overloaded = () => admission.load().overloaded } = parts

  const costs = new Costs(database, now)
  const models = new ModelStore(database, sealer, now, log)
  const readinessWhile = (draining: () => boolean, exclude?: string) =>
    readinessOf(
      {
        probe: () => database.region(probe),
        broken: () => isBroken || isDamaged,
        ...{ draining, overloaded },
      },
      exclude,
    )
  const load = loadMeter({
    startedMs: now(),
    instances: config.REGION_INSTANCES,
    utilisation: () => admission.load().utilisation,
    // An instance that drains is asked nothing.
    readiness: () => readinessWhile(() => false),
  })
  const domainOptions: DomainOptions = {
    resolveTxt,
    claim: (claim) => callsTo(controlRegion).claimDomain(claim),
    release: async (claim) => void (await callsTo(controlRegion).releaseDomain(claim)),
  }
  const calls = new Map<string, Calls>([
    [
      region,
      localCalls({
        ...{ lifecycle, eraser, directory, costs, load, models, isolations },
        contest: (domain) => contestDomain(domain, { directory, callsTo }),
        recheck: (held) => recheckDomain(database, recheckingDomain(domainOptions), held, now()),
      }),
    ],
  ])
  for (const [name, urls] of Object.entries(config.REGIONS)) {
    const keys = config.ASSERTION_KEYS[name]
    if (name === region || keys === undefined) continue
    calls.set(name, remoteCalls(region, { region: name, urls, assertionKey: await importAssertionKey(keys) }))
  }
  const callsTo = (name: string): Calls => {
    const found = calls.get(name)
    if (found === undefined) throw new Error(`no way to the region ${name}`)
    return found
  }
  const developmentHosts = config.WEBHOOK_DEVELOPMENT_HOSTS
  if (developmentHosts.size > 0) {
    log.error(
      'WEBHOOKS MAY BE SENT INTO PRIVATE NETWORKS: take WEBHOOK_DEVELOPMENT_HOSTS away in production',
      {
        hosts: [...developmentHosts],
      },
    )
  }
  const outbound = outboundClient({ development: developmentHosts, now, ...parts.outbound })
  const issuersAllowed = config.DEVELOPMENT_ISSUERS === 'on' ? LOOPBACK : []
  const signInsAt = signIns({
    ...{ database, sealer, now, log },
    connect: { ...parts.outbound, development: new Set([...developmentHosts, ...issuersAllowed]) },
  })
  const catalogue = new Catalogue(() => callsTo(controlRegion).models({}))
  const modelWatch = new CallWatch(metrics.modelCalls, log, now)
  // One for the whole process, jobs and all: its pools are what `maxConcurrent` bounds.
  const modelCalls = modelAccess(catalogue, modelWatch, modelTimes)
  const requests = new OperatorRequests(database, sealingKeys, now)
  const provisioner = new TenantProvisioner(database, directory, callsTo, requests)

  const mailer =
    config.SMTP_URL !== undefined && config.MAIL_FROM !== undefined
      ? (await import('./mail/mailer.ts')).smtpMailer(config.SMTP_URL, config.MAIL_FROM)
      : undefined
  const newServices = () =>
    services(
      {
        mint,
        sign: urlSigning(region, roots),
        linkAdmin,
        sources: {
          mint: (tenant, sourceId) => mintSourceToken({ tenant, sourceId, region }, roots),
          seal: sealer,
        },
        endpoints: { seal: sealer, development: developmentHosts },
        models: modelCalls,
        domains: domainOptions,
        invitations: { tokens: invitationTokens(region, roots), mailer, seal: sealer },
        developmentIssuers: config.DEVELOPMENT_ISSUERS === 'on',
        now,
      },
      extraServices,
    )
  const newApp = ({
    draining,
    ...own
  }: Pick<AppDependencies, 'draining' | 'holdsStreams' | 'tails' | 'outside'>) =>
    regionApp({
      ...own,
      draining,
      region,
      verifier: assertionVerifier(region, config.ASSERTION_KEYS[region] ?? []),
      operators: config.OPERATORS,
      services: newServices(),
      platform:
        region === controlRegion
          ? [
              ...platformOperations({ regions: [...calls.keys()], directory, provisioner, callsTo }),
              ...modelOperations({
                models,
                requests,
                changed: () => catalogue.refresh(),
                development: config.DEVELOPMENT_ISSUERS === 'on',
              }),
            ]
          : [],
      calls: callsTo(region),
      edgeCalls: edgeCalls(database, directory, eraser),
      signIns: signInsAt,
      signUp:
        region === controlRegion
          ? signUpCalls({
              mailer: config.SIGNUP === 'open' ? mailer : undefined,
              regions: [...calls.keys()],
              ...{ database, directory, provisioner, callsTo, sealer, digestKeys: sealingKeys, now },
            })
          : [],
      transact: transactions,
      admission,
      readiness: (exclude) => readinessWhile(draining, exclude),
      log,
      metrics,
      tracing,
    })

  const kinds = [
    sweep,
    isolationEnds,
    ...newServices().flatMap((service) => service.jobKinds ?? []),
    ...extraJobKinds,
  ]
  database.jobKinds = jobKinds(kinds)
  const turn: TakeTurn = (asking, work) => admission.background(asking, work)
  const erase: VisitDependencies['erase'] = (tenant, mayGoOn) => eraser.goOn(tenant, mayGoOn, turn)
  const stepped: VisitDependencies['stepped'] = (kind, outcome, seconds) =>
    metrics.jobSteps.observe({ kind, outcome }, seconds)

  const ownParts = () => {
    const tails = new Tails(database, log)
    return { tails, outside: new OutsideWorks(transactions, tails, admission) }
  }
  const startInstance = (port: number) =>
    Instance.start(config.HOST, port, async (draining) => {
      const { tails, outside } = ownParts()
      return {
        fetch: newApp({ draining, holdsStreams: true, tails, outside }).fetch,
        endStreams: () => tails.stop(),
        endWork: (graceMs) => outside.stop(graceMs),
        startJobs: () => {
          const work = { database, now, random: Math.random, log }
          const deliveries = new WebhookDeliveries(
            {
              ...{ ...work, tails, outbound, sealer, turn },
              attempted: (outcome) => metrics.webhookAttempts.inc({ outcome }),
            },
            parts.deliveringTenants,
          )
          const known = jobKinds([...kinds, deliveries])
          const worker = new JobWorker({ ...work, kinds: known, loans, tails, erase, turn, stepped })
          return {
            get waiting() {
              return worker.waiting + deliveries.inLine
            },
            stop: async () => void (await Promise.all([deliveries.stop(), worker.stop()])),
          }
        },
      }
    })
  const instances: Instance[] = []
  try {
    for (let i = 0; i < config.REGION_INSTANCES; i++) {
      instances.push(await startInstance(i === 0 ? config.PORT : (config.INSTANCE_PORTS[i - 1] ?? 0)))
    }
  } catch (error) {
    await Promise.all(instances.map((instance) => instance.drain(AT_ONCE)))
    await engine.close()
    throw error
  }
  metrics.watch(
    'coditect_job_tenants_waiting',
    'Tenants with jobs to do, or events to deliver, that wait for a worker or a place.',
    () => instances.reduce((sum, { waiting }) => sum + waiting, 0),
  )

  for (const [name, help, read] of admissionGauges(admission)) metrics.watch(name, help, read)
  metrics.watch('coditect_isolated_tenants', 'Tenants that this process isolates.', () => noisy.list().length)

  const finish = (olderThanMs?: number) =>
    finishProvisioning({ region, database, lifecycle, control: callsTo(controlRegion), now }, olderThanMs)
  const background = new Background(log)
  background.once('finishing half-made tenants', () => finish(0))
  background.every(FINISH_EVERY_MS, 'finishing half-made tenants', finish)
  background.untilDone(SETTLE_EVERY_MS, 'settling what a restore has brought back', () =>
    settleRestored({ region, database, lifecycle, eraser, control: callsTo(controlRegion), log }),
  )
  background.every(REFUSALS_EVERY_MS, 'writing refusals to audit trails', () => refusals.flush())
  background.once('hearing of models', () => catalogue.refresh())
  background.every(MODELS_EVERY_MS, 'hearing of models', () => catalogue.refresh())
  background.every(RENAME_EVERY_MS, 'naming the largest tenants', async () => metrics.renameTenants())
  background.every(USAGE_EVERY_MS, 'adding up usage', () => usage.flush())
  background.every(USES_EVERY_MS, 'writing down which credentials were used', () => uses.flushPart())
  // Otherwise a rolling restart would let everybody loose.
  background.untilDone(LOAD_EVERY_MS, 'hearing who is isolated', async () =>
    noisy.adopt(await isolations.list()),
  )
  background.every(LOAD_EVERY_MS, 'adding up load', async () => {
    const { contended } = admission.tick()
    for (const { tenant, stage = 'released', asked, fair } of noisy.tick(contended)) {
      const units = { askedUnitsPerSecond: Math.round(asked), fairUnitsPerSecond: Math.round(fair) }
      log.info('who is noisy changed', { tenant: String(tenant), stage, ...units })
    }
  })
  // Apart from that: a database that is slow must not stop the clock of what is measured every second.
  background.every(LOAD_EVERY_MS, 'writing down who is isolated', () => isolations.keep(noisy.list()))
  background.every(SWEEP_EVERY_MS, 'forgetting who was noisy', () => isolations.sweep())
  background.every(SWEEP_EVERY_MS, 'forgetting what tenants cost long ago', () => costs.sweep())
  background.every(SWEEP_EVERY_MS, 'forgetting which usage was added long ago', () => usage.sweep())
  if (region === controlRegion) {
    background.every(SWEEP_EVERY_MS, 'forgetting operators’ requests', () => requests.sweep())
  }

  const at = (index: number): Instance => {
    const instance = instances[index]
    if (instance === undefined) throw new RangeError(`there is no instance ${index}`)
    return instance
  }
  const urls = instances.map(({ url }) => url)
  log.info('listening', { urls })
  return {
    urls,
    broken: broken.promise,
    unwaited(reason) {
      if (!tellUnwaited(log, reason)) breaks()
    },
    app: async () => newApp({ draining: () => false, holdsStreams: false, ...ownParts() }),
    async flush() {
      for (const result of await Promise.allSettled([refusals.flush(), usage.flush(), uses.flush()])) {
        if (result.status === 'rejected') log.error('could not be written down', { error: result.reason })
      }
      output.flush()
    },
    dropInstance: (index) => at(index).drop(),
    async restartInstance(index, drain) {
      const { url } = at(index)
      await at(index).drain(drain)
      instances[index] = await startInstance(Number(new URL(url).port))
    },
    async close(drain = AT_ONCE) {
      await Promise.all(instances.map((instance) => instance.drain(drain)))
      await Promise.all([outbound.close(), signInsAt.close()])
      background.once('writing refusals to audit trails', () => refusals.flush())
      background.once('adding up usage', () => usage.flush())
      background.once('writing down which credentials were used', () => uses.flush())
      await Promise.all([
        background.stop(),
        tracing?.stop(Math.min(STOP_TRACING_MS, config.DRAIN_MS * STOP_TRACING_SHARE)),
      ])
      mailer?.close()
      await engine.close()
      log.info('stopped')
    },
  }
}

const tracingConfig = (config: RegionConfig, endpoint: string) => ({
  endpoint,
  headers: config.OTEL_EXPORTER_OTLP_HEADERS,
  ratio: config.OTEL_TRACES_SAMPLER_ARG,
  secret: config.SIGNING_ROOTS.map(({ secret }) => secret)
    .toSorted()
    .join(),
  serviceName: config.OTEL_SERVICE_NAME,
  region: config.REGION,
})

/** Reads a key, so that a database that does not answer shows. */
async function probe(scope: Scope): Promise<Attempt<void>> {
  await scope.space(flushSpace).get(['probe'])
  return { value: undefined, commit: false }
}

async function main(): Promise<void> {
  // Before the region starts: to the first process of a container, a signal that nobody waits for is never sent.
  const toldToStop = Promise.withResolvers<void>()
  for (const event of ['SIGTERM', 'SIGINT', 'disconnect'] as const) {
    process.on(event, () => toldToStop.resolve())
  }
  try {
    const config = readConfig(process.env)
    // Whatever hangs, a database that does not answer for example.
    void toldToStop.promise.then(() => setTimeout(() => process.exit(1), config.DRAIN_MS).unref())
    collectInTheBackground()
    const region = await startRegion(config)
    process.send?.({ type: 'listening', urls: region.urls })
    endWith(region)
    await toldToStop.promise
    await stop(region, config.DRAIN_MS)
  } catch (error) {
    process.stderr.write(`${startError(error)}\n`)
    process.exit(1)
  }
}

/** Has this process end when its region is broken, and not for a promise that nobody waited for in one tenant's work. */
export function endWith(region: Region): void {
  process.on('unhandledRejection', (reason) => region.unwaited(reason))
  void region.broken.then(() => setTimeout(() => process.exit(1), LAST_ANSWERS_MS))
}

async function stop(region: Region, drainMs: number): Promise<void> {
  try {
    await region.close(drainWithin(drainMs))
    process.exit(0)
  } catch (error) {
    process.stderr.write(`The region could not stop in order. ${messageOf(error)}\n`)
    process.exit(1)
  }
}

/** One line that says what is wrong and what to do. */
function startError(error: unknown): string {
  if (error instanceof ConfigError) return `The region cannot start. ${error.message}`
  if (error instanceof StorageError) return error.message
  const { code, port } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE') return `Port ${port} is taken. Stop what listens there, or choose another port.`
  return `The region cannot start. ${messageOf(error)}`
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

if (import.meta.main) await main()
