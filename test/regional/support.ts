// Real regions for tests: one process, real HTTP, real files, and the edge's part played by signed assertions.
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../regional/config.ts'
import { type Region, type RegionParts, startRegion } from '../../regional/server.ts'
import { importAssertionKeys, signAssertion } from '../../shared/assertion.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { verifyApiKey } from '../../shared/credentials/api_key.ts'
import { hashOperatorToken } from '../../shared/credentials/operator_token.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { ASSERTION } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import type { Principal } from '../../shared/principal.ts'

export interface Answer {
  status: number
  headers: Headers
  // The shape is the test's to check.
  // biome-ignore lint/suspicious/noExplicitAny: an answer's body may be anything
  body: any
}

export interface Ask {
  /** An API key's text, `operator`, or `region`: what a region calls another as. */
  as: string
  method?: string
  path: string
  body?: unknown
  headers?: Record<string, string>
  requestId?: string
}

export interface Regions {
  dataDir(region: string): string
  ask(region: string, ask: Ask): Promise<Answer>
  url(region: string): string
  stop(region: string): Promise<void>
  start(region: string): Promise<void>
  close(): Promise<void>
  /** Makes a tenant and answers with its first key. */
  newTenant(slug: string, region: string): Promise<{ id: string; key: string }>
}

const secret = () => toBase64url(randomBytes(32))

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Starts `us`, the control region, and `eu`. */
export async function startRegions(parts: RegionParts = {}): Promise<Regions> {
  const root = await mkdtemp(join(tmpdir(), 'coditect-'))
  const names = ['us', 'eu']
  const ports = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await freePort()] as const)),
  )
  const url = (name: string) => `http://127.0.0.1:${ports[name]}`
  const signingRoots = [{ id: 1, secret: secret(), state: 'active' as const }]
  const roots = await Roots.import(signingRoots)
  const assertionKeys = Object.fromEntries(
    names.map((name) => [name, [{ kid: `${name}-1`, secret: secret() }]]),
  )
  const sealing = Object.fromEntries(names.map((name) => [name, secret()]))
  const operatorHash = await hashOperatorToken('operator')
  const configOf = (name: string) =>
    readConfig({
      REGION: name,
      CONTROL_REGION: 'us',
      REGIONS: JSON.stringify(Object.fromEntries(names.map((each) => [each, [url(each)]]))),
      ASSERTION_KEYS: JSON.stringify(assertionKeys),
      SIGNING_ROOTS: JSON.stringify(signingRoots),
      OPERATORS: JSON.stringify([{ id: 'ops', role: 'admin', secretHash: operatorHash }]),
      SEALING_KEY: sealing[name],
      KEY_ENVIRONMENT: 'test',
      PORT: String(ports[name]),
      DATA_DIR: join(root, name),
    })

  async function principalOf(as: string): Promise<Principal> {
    if (as === 'operator')
      return { kind: 'operator', operatorId: 'ops', role: 'admin', secretHash: operatorHash }
    if (as === 'region') return { kind: 'region', region: 'us' }
    const verdict = await verifyApiKey(as, roots)
    if (verdict.outcome === 'refused') throw new Error('not a key')
    return {
      kind: 'api_key',
      tenant: verdict.key.tenant,
      keyId: verdict.key.keyId,
      secretHash: verdict.secretHash,
    }
  }

  const running = new Map<string, Region>()
  const regions: Regions = {
    dataDir: (name) => join(root, name),
    url,
    async start(name) {
      running.set(name, await startRegion(configOf(name), { writeLog: () => {}, ...parts }))
    },
    async stop(name) {
      await running.get(name)?.close()
      running.delete(name)
    },
    async close() {
      for (const name of names) await regions.stop(name)
      await rm(root, { recursive: true, force: true })
    },
    async ask(region, { as, method = 'GET', path, body, headers = {}, requestId = newId('req') }) {
      const keys = await importAssertionKeys(assertionKeys[region] ?? [])
      const assertion = await signAssertion(
        { region, method, target: path, requestId },
        await principalOf(as),
        keys,
      )
      const response = await fetch(url(region) + path, {
        method,
        headers: {
          [ASSERTION]: assertion,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? undefined : JSON.parse(text),
      }
    },
    async newTenant(slug, region) {
      const { status, body } = await regions.ask('us', {
        as: 'operator',
        method: 'POST',
        path: '/platform/v1/tenants',
        body: { slug, name: slug, region, plan: 'team', owner: { email: `owner@${slug}.example` } },
      })
      if (status !== 201) throw new Error(JSON.stringify(body))
      return { id: body.tenant.id, key: body.apiKey.key }
    },
  }
  for (const name of names) await regions.start(name)
  return regions
}
