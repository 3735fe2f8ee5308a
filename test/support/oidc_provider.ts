// A real OpenID provider for tests of signing in: authorization code flow with PKCE, a page to sign in at, and whoever
// types a name is that person.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Provider } from 'oidc-provider'

export interface OidcProvider {
  issuer: string
  close(): Promise<void>
}

export interface OidcClient {
  clientId: string
  clientSecret?: string
  redirectUri: string
}

/** @param groupsOf what the claim `groups` says of whoever signs in by that name */
export async function startOidcProvider(
  clients: ReadonlyArray<OidcClient>,
  groupsOf: (login: string) => ReadonlyArray<string> = () => [],
): Promise<OidcProvider> {
  const server = createServer((request, response) => handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, {
    clients: clients.map(({ clientId, clientSecret, redirectUri }) => ({
      client_id: clientId,
      redirect_uris: [redirectUri],
      ...(clientSecret === undefined
        ? { token_endpoint_auth_method: 'none' }
        : { client_secret: clientSecret }),
    })),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    // What is asked for is in the ID token, too.
    conformIdTokenClaims: false,
    cookies: { keys: ['of this test'] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: async () => ({
        ...{ sub: id, email: `${id}@acme.example`, email_verified: !id.startsWith('new') },
        groups: [...groupsOf(id)],
      }),
    }),
    pkce: { required: () => true },
    ttl: { AccessToken: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
  })
  const handle = provider.callback()
  return {
    issuer,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
