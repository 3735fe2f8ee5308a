// A secret that somebody gives the platform, or is given by it, lies nowhere in clear: neither what it is kept as, nor
// an answer that is kept for a replay, nor a trail of either.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { bytesOf, rowsOf } from '../support/at_rest.ts'
import { eventually } from '../support/eventually.ts'
import { decoded, type Mailbox, openMailbox } from '../support/mailbox.ts'
import { startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

let regions: Regions
let receiver: WebhookReceiver
let mailbox: Mailbox
beforeAll(async () => {
  receiver = await startReceiver()
  mailbox = await openMailbox()
  regions = await startRegions({}, (environment) =>
    startRegion(
      readConfig({
        ...environment,
        WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1',
        // Invitations go by mail in one region, and are passed on as links in the other.
        ...(environment.REGION === 'eu' && { SMTP_URL: mailbox.url, MAIL_FROM: 'hello@mail.test' }),
      }),
      { writeLog: () => {} },
    ),
  )
})
afterAll(async () => {
  await regions.close()
  await receiver.close()
  await mailbox.close()
})

/** What of an invitation's letter, or its link, lets somebody in. */
const tokenIn = (text: string): string | undefined => /[?&]token=([\w-]+)/.exec(text)?.[1]

/** Makes one of every secret there is, each by a request that is kept for a replay. */
async function secretsOf(region: string): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {}
  const known = (name: string) => {
    secrets[name] = `plain-${name.replaceAll(/\W/g, '-')}-of-${region}`
    return secrets[name]
  }
  let requests = 0
  const asking =
    (as: string, at: string) =>
    async (method: string, path: string, body?: object): Promise<Answer['body']> => {
      const headers = { 'idempotency-key': `${region}-${++requests}` }
      const answer = await regions.ask(at, { as, method, path, headers, ...(body && { body }) })
      expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300)
      return answer.body
    }
  const operator = asking('operator', 'us')
  const tenant = {
    ...{ slug: `at-rest-${region}`, name: `Name of ${region}`, region, plan: 'team' },
    owner: { email: `owner@${region}.example` },
  }
  const { apiKey, adminLink } = await operator('POST', '/platform/v1/tenants', tenant)
  secrets['first key'] = apiKey.key
  secrets['first admin link'] = adminLink.url
  const ask = asking(apiKey.key, region)

  const key = await ask('POST', '/v1/api-keys', { name: 'Key', scopes: ['*'] })
  secrets['API key'] = key.key
  secrets['rotated API key'] = (await ask('POST', `/v1/api-keys/${key.id}/rotate`, {})).key
  secrets['admin link'] = (await ask('POST', '/v1/admin-links', { role: 'owner' })).url

  const provider = await ask('POST', '/v1/identity-providers', {
    ...{ name: 'Login', issuer: 'https://login.example.com/', clientId: 'console' },
    clientSecret: known('client secret'),
  })
  const changed = { clientSecret: known('changed client secret') }
  await ask('PATCH', `/v1/identity-providers/${provider.id}`, changed)

  await operator('POST', '/platform/v1/models', {
    ...{ name: `model-${region}`, baseUrl: 'https://models.example/v1' },
    apiKey: known('model key'),
  })
  await operator('PATCH', `/platform/v1/models/model-${region}`, { apiKey: known('changed model key') })

  const endpoint = await ask('POST', '/v1/webhook-endpoints', {
    ...{ url: receiver.url(`/${region}`), types: ['project.*'] },
    headers: { Authorization: `Bearer ${known('custom header')}` },
  })
  secrets['signing secret'] = endpoint.secret
  const path = `/v1/webhook-endpoints/${endpoint.id}`
  secrets['rotated signing secret'] = (await ask('POST', `${path}/rotate`, {})).secret
  await ask('POST', `${path}/test`)
  await ask('PATCH', path, { headers: { 'X-Own': known('changed custom header') } })

  const given = { name: 'Code', provider: 'github', secret: known('source secret') }
  const source = await ask('POST', '/v1/webhook-sources', given)
  secrets["source's URL"] = source.url
  await ask('PATCH', `/v1/webhook-sources/${source.id}`, { secret: known('changed source secret') })

  const invited = { email: `ann@${region}.example`, role: 'member' }
  const { url } = await ask('POST', '/v1/invitations', invited)
  secrets.invitation = await eventually(() => {
    const [mail] = mailbox.mails.filter(({ to }) => to.includes(invited.email))
    const token = tokenIn(url ?? decoded(mail?.raw ?? ''))
    if (token === undefined) throw new Error('neither a link nor a letter')
    return token
  })
  await eventually(() => expect(receiver.at(`/${region}`)).not.toEqual([]))
  return secrets
}

/** As it is said, its end alone, which nobody can guess, and the bytes that a signing secret stands for. */
const spellings = (secret: string): string[] => [
  secret,
  secret.slice(-20),
  Buffer.from(secret.replace('whsec_', ''), 'base64').toString('latin1'),
]

test('no secret lies in the data directory in clear, neither in its files nor in its database', async () => {
  const names = ['us', 'eu']
  const secrets = (await Promise.all(names.map(secretsOf))).flatMap((each) => Object.entries(each))
  expect(secrets.length).toBeGreaterThan(25)
  for (const region of names) {
    const files = await bytesOf(regions.dataDir(region))
    await regions.stop(region)
    const rows = await rowsOf(regions.dataDir(region))
    const values = rows.map((row) => row.map((bytes) => bytes.toString('latin1')).join('\n')).join('\n')
    for (const bytes of [files, values]) {
      expect(bytes).toContain(`Name of ${region}`)
      expect(bytes).toContain('https://login.example.com/')
      const inClear = secrets.filter(([, secret]) => spellings(secret).some((each) => bytes.includes(each)))
      expect(inClear.map(([name]) => name)).toEqual([])
    }
  }
})
