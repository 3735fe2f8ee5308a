// Fresh secrets for a deployment: a file of environment variables for the edge and for each region, as
// `wrangler secret bulk`, `kubectl create secret --from-env-file`, compose and systemd read them.
//
//   node deploy/new_secrets.ts secrets us eu
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomBytes, toBase64url } from '../shared/bytes.ts'
import { hashOperatorToken, newOperatorToken } from '../shared/credentials/operator_token.ts'
import { REGION_NAME } from '../shared/region.ts'

const { positionals } = parseArgs({ allowPositionals: true })
const [folder, ...regions] = positionals
if (folder === undefined || regions.length === 0 || !regions.every((region) => REGION_NAME.test(region))) {
  process.stderr.write('Usage: node deploy/new_secrets.ts FOLDER REGION…\n')
  process.exit(2)
}

const secret = (): string => toBase64url(randomBytes(32))
const operatorToken = newOperatorToken()
const shared = {
  ASSERTION_KEYS: JSON.stringify(
    Object.fromEntries(regions.map((region) => [region, [{ kid: `${region}-1`, secret: secret() }]])),
  ),
  SIGNING_ROOTS: JSON.stringify([{ id: 1, secret: secret(), state: 'active' }]),
  OPERATORS: JSON.stringify([
    { id: 'first', role: 'admin', secretHash: await hashOperatorToken(operatorToken) },
  ]),
}

mkdirSync(folder, { recursive: true, mode: 0o700 })
/** Never over what is there: without its signing root, no credential of a platform is one. */
const write = (name: string, text: string): void =>
  writeFileSync(join(folder, name), text, { mode: 0o600, flag: 'wx' })
const asLines = (variables: Record<string, string>): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

write('edge.env', asLines(shared))
for (const region of regions) write(`${region}.env`, asLines({ ...shared, SEALING_KEY: secret() }))
write('operator-token', `${operatorToken}\n`)
process.stdout.write(
  `${folder}: edge.env, ${regions.map((region) => `${region}.env`).join(', ')}, operator-token\n`,
)
