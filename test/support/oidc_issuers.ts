// OpenID issuers for tests: one real HTTP server on loopback, any number of issuers by path, each with discovery and keys,
// and each as well or badly behaved as a test says. Private keys are the tests' to have.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { ALGORITHMS, type Behaviour } from './oidc_tokens.ts'

/** Before an issuer's name: a place where its genuine configuration and keys are too, and nobody may look for them. */
const ELSEWHERE = 'elsewhere-'

export interface OidcIssuers {
  /** `<origin>/<name>` is an issuer; `<origin>/control/<name>/<behaviour>` and `<origin>/asked/<name>` are the tests'. */
  origin: string
  /** Both sets: `<algorithm>-1` and `<algorithm>-2`. */
  privateKeys: JWK[]
  close(): Promise<void>
}

export async function startOidcIssuers(): Promise<OidcIssuers> {
  const privateKeys: JWK[] = []
  for (const set of [1, 2]) {
    for (const alg of ALGORITHMS) {
      const { privateKey } = await generateKeyPair(alg, { extractable: true })
      privateKeys.push({ ...(await exportJWK(privateKey)), alg, kid: `${alg}-${set}`, use: 'sig' })
    }
  }
  const publicKeys = privateKeys.map(({ kty, crv, x, y, n, e, alg, kid, use }) =>
    Object.fromEntries(
      Object.entries({ kty, crv, x, y, n, e, alg, kid, use }).filter(([, value]) => value !== undefined),
    ),
  )
  const behaviours = new Map<string, Behaviour>()
  const asked = new Map<string, number>()
  let origin = ''

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const [, first = '', second = '', third = ''] = (request.url ?? '').split('/')
    const json = (value: unknown, type = 'application/json') =>
      response.setHeader('content-type', type).end(JSON.stringify(value))
    if (first === 'control') {
      behaviours.set(second, third as Behaviour)
      json({})
      return
    }
    if (first === 'asked') {
      json(asked.get(second) ?? 0)
      return
    }
    const behaviour = behaviours.get(first) ?? 'well'
    asked.set(first, (asked.get(first) ?? 0) + 1)
    const issuer = `${origin}/${first.replace(ELSEWHERE, '')}`
    const isKeys = second === 'keys'
    if (behaviour === 'silent') return
    if (behaviour === 'down') response.writeHead(500).end()
    else if (behaviour === 'html') response.setHeader('content-type', 'text/html').end('<html>')
    else if (behaviour === 'redirect' || (behaviour === 'redirect_keys' && isKeys)) {
      response.writeHead(302, { location: `${origin}/${ELSEWHERE}${first}/${second}/${third}` }).end()
    } else if (!isKeys) {
      json(
        {
          issuer: behaviour === 'another_issuer' ? `${origin}/somebody-else` : issuer,
          jwks_uri:
            behaviour === 'private_keys_address'
              ? `${origin.replace('127.0.0.1', '0.0.0.0')}/${ELSEWHERE}${first}/keys`
              : `${issuer}/keys`,
        },
        behaviour === 'plain_text' ? 'text/plain' : 'application/json',
      )
    } else if (behaviour === 'huge') json({ keys: publicKeys, padding: 'x'.repeat(2 ** 20) })
    else if (behaviour === 'no_keys') json({ keys: 'none' })
    else {
      const isBoth = behaviour === 'both_sets' || behaviour === 'without_alg'
      const set = behaviour === 'rotated' ? '-2' : '-1'
      const said = publicKeys.filter(({ kid }) => isBoth || String(kid).endsWith(set))
      json(
        { keys: behaviour === 'without_alg' ? said.map(({ alg: _, ...key }) => key) : said },
        behaviour === 'plain_text' ? 'text/plain' : 'application/json',
      )
    }
  }

  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    privateKeys,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}
