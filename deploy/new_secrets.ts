// Fresh secrets for a deployment: a file of environment variables for the edge and for each region, as
// `wrangler secret bulk`, `kubectl create secret --from-env-file`, compose and systemd read them.
//
//   npx node deploy/new_secrets.ts secrets us eu
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomBytes, toBase64url } from '../shared/bytes.ts'
import { hashOperatorToken, newOperatorToken } from '../shared/credentials/operator_token.ts'
import { REGION_NAME } from '../shared/region.ts'

const USAGE = `Usage: npx node deploy/new_secrets.ts FOLDER REGION…

  FOLDER   where the files go; none that is there is written over
  REGION   the names of the regions, the control region first`

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', default: false } },
})
const [folder, ...regions] = positionals
const [control] = regions
if (values.help || folder === undefined || !control || !regions.every((region) => REGION_NAME.test(region))) {
  process.stderr.write(`${USAGE}\n`)
  process.exit(values.help ? 0 : 2)
}

const secret = (): string => toBase64url(randomBytes(32))
const operatorToken = newOperatorToken()
const keys = Object.fromEntries(regions.map((region) => [region, [{ kid: `${region}-1`, secret: secret() }]]))
/** Who has a region's key can speak to it as anybody: a region has those of the regions that it calls, and no more. */
const keysFor = (region: string) =>
  region === control ? keys : Object.fromEntries([region, control].map((name) => [name, keys[name]]))
const shared = {
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

write('edge.env', asLines({ ASSERTION_KEYS: JSON.stringify(keys), ...shared }))
for (const region of regions) {
  const ASSERTION_KEYS = JSON.stringify(keysFor(region))
  write(`${region}.env`, asLines({ ASSERTION_KEYS, ...shared, SEALING_KEY: secret() }))
}
write('operator-token', `${operatorToken}\n`)
process.stdout.write(
  `${folder}: edge.env, ${regions.map((region) => `${region}.env`).join(', ')}, operator-token\n`,
)
