// Real regions for tests: one process, real HTTP, real files, and the edge's part played by signed assertions.
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../regional/config.ts'
import { type Region, type RegionParts, startRegion } from '../../regional/server.ts'
import { type Answer, type Ask, RegionClient, RegionSecrets } from '../support/region_client.ts'

export type { Answer, Ask } from '../support/region_client.ts'

export interface Regions {
  dataDir(region: string): string
  ask(region: string, ask: Ask): Promise<Answer>
  /** An answer that is not over yet. */
  open(region: string, ask: Ask, signal?: AbortSignal): Promise<Response>
  url(region: string): string
  /** What the edge signs with for this region. */
  assertionSecret(region: string): string
  stop(region: string): Promise<void>
  start(region: string): Promise<void>
  close(): Promise<void>
  /** Makes a tenant and answers with its first key. */
  newTenant(slug: string, region: string): Promise<{ id: string; key: string }>
}

/**
 * A port that nothing listens on, from below those that the kernel gives to outgoing connections: otherwise one of
 * those could take it while its region is stopped.
 */
async function freePort(): Promise<number> {
  const port = randomInt(10_240, 32_768)
  const server = createServer()
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => resolve(true))
  })
  if (!isFree) return freePort()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Starts one region from its environment. */
export type Launch = (environment: Record<string, string>) => Promise<Pick<Region, 'close'>>

/** What a region logs is shown where `TEST_LOG` is set, whatever its value. */
const writeLog = (line: string): void => {
  if (process.env.TEST_LOG !== undefined) process.stderr.write(line)
}

/**
 * Starts `us`, the control region, and `eu`.
 * @param launch how: in this process, unless a test has another way
 */
export async function startRegions(
  parts: RegionParts = {},
  launch: Launch = (environment) => startRegion(readConfig(environment), { writeLog, ...parts }),
): Promise<Regions> {
  const root = await mkdtemp(join(tmpdir(), 'coditect-'))
  const names = ['us', 'eu']
  const urls: Record<string, string> = {}
  for (const name of names) urls[name] = `http://127.0.0.1:${await freePort()}`
  const url = (name: string) => urls[name] ?? ''
  const secrets = new RegionSecrets(names)
  const client = new RegionClient(secrets, url)
  const running = new Map<string, Pick<Region, 'close'>>()
  const regions: Regions = {
    dataDir: (name) => join(root, name),
    url,
    assertionSecret: (name) => secrets.assertionKeys[name]?.[0].secret ?? '',
    ask: (region, ask) => client.ask(region, ask),
    open: (region, ask, signal) => client.open(region, ask, signal),
    newTenant: (slug, region) => client.newTenant(slug, region),
    async start(name) {
      const environment = await secrets.environment(name, urls)
      running.set(
        name,
        await launch({ ...environment, PORT: new URL(url(name)).port, DATA_DIR: join(root, name) }),
      )
    },
    async stop(name) {
      await running.get(name)?.close()
      running.delete(name)
    },
    async close() {
      for (const name of names) await regions.stop(name)
      await rm(root, { recursive: true, force: true })
    },
  }
  for (const name of names) await regions.start(name)
  return regions
}
