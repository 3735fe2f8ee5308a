// One region as a process of its own, so that its memory can be read from outside.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { COMPILED } from '../../../dev/region.ts'
import { type Answer, RegionClient, type RegionSecrets } from '../../support/region_client.ts'

const SERVER = fileURLToPath(new URL('../../../regional/server.ts', import.meta.url))

export interface MadeTenant {
  id: string
  slug: string
  key: string
}

export class LoneRegion {
  readonly url: string
  private readonly child: ChildProcess
  private readonly client: RegionClient

  private constructor(child: ChildProcess, url: string, secrets: RegionSecrets) {
    this.child = child
    this.url = url
    this.client = new RegionClient(secrets, () => url)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Starts `us` over this directory; the secrets have to be those that its data was made with. */
  static async start(dataDir: string, secrets: RegionSecrets): Promise<LoneRegion> {
    const environment = await secrets.environment('us', { us: 'http://127.0.0.1' })
    const child = spawn(process.execPath, [SERVER], {
      env: { NODE_COMPILE_CACHE: COMPILED, ...process.env, ...environment, PORT: '0', DATA_DIR: dataDir },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const [message] = (await once(child, 'message')) as [{ urls: string[] }]
    return new LoneRegion(child, message.urls[0] ?? '', secrets)
  }

  ask(as: string, method: string, path: string, body?: unknown): Promise<Answer> {
    return this.client.ask('us', { as, method, path, ...(body !== undefined && { body }) })
  }

  async makeTenant(slug: string): Promise<MadeTenant> {
    return { slug, ...(await this.client.newTenant(slug, 'us')) }
  }

  /** Resident memory, in bytes, of the process: what it needs of its own, without the pages of files it maps. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) * 1024
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM')
    await once(this.child, 'exit')
  }
}
