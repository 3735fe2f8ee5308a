// The whole of Coditect on one machine: the regions first, since the edge must know where they are.
import type { Bindings } from '../edge/env.ts'
import { hashOperatorToken } from '../shared/credentials/operator_token.ts'
import type { DataDir } from './data_dir.ts'
import { EDGE_BINDINGS, EDGE_ENTRY, EDGE_OBJECTS, EDGE_TEXTS } from './edge.ts'
import { Part } from './part.ts'
import { claimable, HOST } from './ports.ts'
import { launchRegion } from './region.ts'
import type { Secrets } from './secrets.ts'
import { CONTROL_REGION, type Environment, REGIONS, type RegionName, type Settings } from './settings.ts'
import { StartError } from './start_error.ts'
import { buildWorker, launchWorkerd } from './workerd.ts'

/** OpenID issuers may run on this machine, too. */
const DEVELOPMENT_ISSUERS = 'on'
/** Browsers and curl find all of it on this machine (RFC 6761 section 6.3). */
const BASE_DOMAIN = 'localhost'
/** Ports that were free a moment ago can be gone; so often other ones are tried. */
const PORT_ATTEMPTS = 5
/** Together below the five seconds in which everything is stopped. */
const EDGE_PATIENCE_MS = 1_000
const REGION_PATIENCE_MS = 3_000

export interface StackOptions {
  settings: Settings
  secrets: Secrets
  dir: DataDir
  environment: Environment
  say: (line: string) => void
}

export class Stack {
  edgeUrl = ''
  readonly regionUrls: Record<RegionName, string> = { us: '', eu: '' }
  private readonly options: StackOptions
  /** Every instance of each region: where it is as long as all of this runs, since the edge is told once. */
  private instances: Record<RegionName, string[]> = { us: [], eu: [] }
  private regions: Part<string[]>[] = []
  private edge: Part<number> | undefined
  private readonly stopping = new AbortController()

  constructor(options: StackOptions) {
    this.options = options
  }

  /** @throws {StartError}. {@link stop} ends whatever runs by then, and may come while this is under way. */
  async start(): Promise<void> {
    const operators = await this.operators()
    const [config] = await Promise.all([
      buildWorker({
        entry: EDGE_ENTRY,
        folder: this.options.dir.file('edge'),
        bindings: EDGE_BINDINGS,
        texts: EDGE_TEXTS,
        objects: { classes: EDGE_OBJECTS, folder: this.options.dir.file('limits') },
      }),
      this.startRegions(operators),
    ])
    await this.startEdge(config, operators)
  }

  /** Since {@link stop} was called. */
  get isStopping(): boolean {
    return this.stopping.signal.aborted
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    await this.edge?.stop(EDGE_PATIENCE_MS)
    await Promise.all(this.regions.map((region) => region.stop(REGION_PATIENCE_MS)))
  }

  private async startRegions(operators: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const ports = await this.choosePorts()
      this.stopping.signal.throwIfAborted()
      for (const region of REGIONS) {
        this.instances[region] = ports[region].map((port) => `http://${HOST}:${port}`)
        this.regionUrls[region] = this.instances[region][0] ?? ''
      }
      this.regions = REGIONS.map((region) => this.region(region, ports[region], operators))
      const started = await Promise.allSettled(this.regions.map((region) => region.start()))
      const failure = started.find((result) => result.status === 'rejected')
      if (failure === undefined) return
      await Promise.all(this.regions.map((region) => region.stop(REGION_PATIENCE_MS)))
      if (attempt === PORT_ATTEMPTS || !(await this.lostAPort(ports))) throw failure.reason
    }
  }

  /** A port for each instance of each region. */
  private async choosePorts(): Promise<Record<RegionName, number[]>> {
    const { regionPorts, instances } = this.options.settings
    const chosen: Record<RegionName, number[]> = { us: [], eu: [] }
    for (const region of REGIONS) {
      while (chosen[region].length < instances) {
        const asked = chosen[region].length === 0 ? regionPorts[region] : 0
        const port = await claimable(asked)
        if (port === undefined) throw new StartError(taken(asked, 'REGION_PORTS'))
        // What nobody listens on yet can be chosen twice.
        if (asked === 0 && Object.values(chosen).flat().includes(port)) continue
        chosen[region].push(port)
      }
    }
    return chosen
  }

  /** Whether a port that we chose ourselves was taken by someone else before its region could listen. */
  private async lostAPort(ports: Record<RegionName, number[]>): Promise<boolean> {
    for (const region of REGIONS) {
      const [, ...others] = ports[region]
      const ours = this.options.settings.regionPorts[region] === 0 ? ports[region] : others
      for (const port of ours) if ((await claimable(port)) === undefined) return true
    }
    return false
  }

  private region(name: RegionName, [port, ...others]: number[], operators: string): Part<string[]> {
    const { settings, secrets, dir, environment, say } = this.options
    const variables = {
      ...environment,
      REGION: name,
      CONTROL_REGION,
      REGIONS: JSON.stringify({ us: [this.regionUrls.us], eu: [this.regionUrls.eu] }),
      ASSERTION_KEYS: JSON.stringify(secrets.assertionKeys),
      SIGNING_ROOTS: JSON.stringify(secrets.signingRoots),
      OPERATORS: operators,
      SEALING_KEY: secrets.sealingKeys[name],
      KEY_ENVIRONMENT: 'dev',
      // The edge is stopped first, so that nobody is left to be told.
      DRAIN_MS: '1000',
      DEVELOPMENT_ISSUERS,
      DATA_DIR: dir.file(name),
      HOST,
      PORT: String(port),
      INSTANCE_PORTS: others.join(),
      FDB_CLUSTER_FILE: undefined,
      ROOT_PREFIX: undefined,
      ...settings.database[name],
    }
    return new Part({ name, dir, say, launch: (log) => launchRegion(variables, log) })
  }

  private async startEdge(config: string, operators: string): Promise<void> {
    const { settings, dir, say } = this.options
    for (let attempt = 1; ; attempt++) {
      // Known before the edge listens, because the edge itself has to know where it is found.
      const port = await claimable(settings.port)
      if (port === undefined) throw new StartError(taken(settings.port, 'PORT'))
      this.stopping.signal.throwIfAborted()
      const url = `http://${HOST}:${port}`
      const launch = (log: number) =>
        launchWorkerd({ config, port, environment: this.bindings(url, operators), log })
      const edge = new Part({ name: 'edge', dir, say, launch })
      this.edge = edge
      try {
        await edge.start()
        this.edgeUrl = url
        return
      } catch (error) {
        await edge.stop(EDGE_PATIENCE_MS)
        const lost = settings.port === 0 && (await claimable(port)) === undefined
        if (!lost || attempt === PORT_ATTEMPTS) throw this.explained(error)
      }
    }
  }

  /** The limiter's are the only files of SQLite that the edge has, and workerd names none. */
  private explained(error: unknown): unknown {
    if (!(error instanceof StartError && error.message.includes('SQLite failed'))) return error
    const limits = this.options.dir.file('limits')
    return new StartError(
      `${limits} is damaged: delete it, nothing but how much tenants asked lately is lost (${error.message})`,
    )
  }

  private bindings(edgeUrl: string, operators: string) {
    const { settings, secrets, environment } = this.options
    return {
      PUBLIC_ORIGIN: edgeUrl,
      BASE_DOMAIN,
      REGIONS: JSON.stringify(this.instances),
      CONTROL_REGION,
      ASSERTION_KEYS: JSON.stringify(secrets.assertionKeys),
      SIGNING_ROOTS: JSON.stringify(secrets.signingRoots),
      OPERATORS: operators,
      ...(settings.failureLimit && { FAILURE_LIMIT: JSON.stringify(settings.failureLimit) }),
      DEVELOPMENT_ISSUERS,
      ...(environment.LIMITS && { LIMITS: environment.LIMITS }),
    } satisfies Bindings
  }

  private async operators(): Promise<string> {
    const { secrets, settings } = this.options
    const secretHash = await hashOperatorToken(secrets.operatorToken)
    return JSON.stringify([{ id: 'dev', role: 'admin', secretHash }, ...settings.operators])
  }
}

const taken = (port: number, setting: string): string =>
  `port ${port} is taken, or not ours to take; ${setting} chooses another, 0 any free one`
