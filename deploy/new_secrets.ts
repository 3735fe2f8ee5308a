// Fresh secrets for a deployment: a file of environment variables for the edge and for each region, as
// `wrangler secret bulk`, `kubectl create secret --from-env-file`, compose and systemd read them.
//
//   npx node deploy/new_secrets.ts secrets us eu
//   npx node deploy/new_secrets.ts secrets us ap --add     later, for a region more
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomBytes, toBase64url } from '../shared/bytes.ts'
import { hashOperatorToken, newOperatorToken } from '../shared/credentials/operator_token.ts'
import { REGION_NAME } from '../shared/region.ts'

const USAGE = `Usage: npx node deploy/new_secrets.ts FOLDER REGION… [--add]

  FOLDER   where the files go; none that is there is written over
  REGION   the names of the regions, the control region first
  --add    the control region is there already, and gets more regions: they get files of their own, and the edge and the
           control region their assertion keys beside what they have`

type Variables = Record<string, string>
type AssertionKeys = Record<string, unknown>

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', default: false }, add: { type: 'boolean', default: false } },
})
const [folder, ...regions] = positionals
const [control, ...others] = regions
const names = ['edge', ...regions]
if (
  values.help ||
  folder === undefined ||
  control === undefined ||
  (values.add && others.length === 0) ||
  !regions.every((region) => REGION_NAME.test(region)) ||
  new Set(names).size < names.length
) {
  process.stderr.write(`${USAGE}\n`)
  process.exit(values.help ? 0 : 2)
}

const secret = (): string => toBase64url(randomBytes(32))
const newKeys = (region: string) => [{ kid: `${region}-1`, secret: secret() }]
const fileOf = (name: string): string => join(folder, name)
const envOf = (name: string): string => fileOf(`${name}.env`)

function fail(what: string): never {
  process.stderr.write(`${what} Nothing was written.\n`)
  process.exit(1)
}

/** Never over what is there: without its signing root, no credential of a platform is one. */
function writeNew(files: ReadonlyArray<readonly [name: string, text: string]>): void {
  const there = files.find(([name]) => existsSync(fileOf(name)))
  if (there) fail(`${fileOf(there[0])} is there already.`)
  mkdirSync(fileOf(''), { recursive: true, mode: 0o700 })
  for (const [name, text] of files) writeFileSync(fileOf(name), text, { mode: 0o600, flag: 'wx' })
  process.stdout.write(`${folder}: ${files.map(([name]) => name).join(', ')}\n`)
}

const asLines = (variables: Variables): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

/** A region's file. Who has a region's key can speak to it as anybody: each has those of the regions that it calls, and no more. */
const regionFile = (region: string, keys: AssertionKeys, shared: Variables) =>
  [
    `${region}.env`,
    asLines({ ASSERTION_KEYS: JSON.stringify(keys), ...shared, SEALING_KEY: secret() }),
  ] as const
const pick = (keys: AssertionKeys, ...of: string[]): AssertionKeys =>
  Object.fromEntries(of.map((region) => [region, keys[region]]))

async function makeAll(control: string): Promise<void> {
  const operatorToken = newOperatorToken()
  const keys = Object.fromEntries(regions.map((region) => [region, newKeys(region)]))
  const operator = { id: 'first', role: 'admin', secretHash: await hashOperatorToken(operatorToken) }
  const shared = {
    SIGNING_ROOTS: JSON.stringify([{ id: 1, secret: secret(), state: 'active' }]),
    OPERATORS: JSON.stringify([operator]),
  }
  writeNew([
    ['edge.env', asLines({ ASSERTION_KEYS: JSON.stringify(keys), ...shared })],
    regionFile(control, keys, shared),
    ...others.map((region) => regionFile(region, pick(keys, region, control), shared)),
    ['operator-token', `${operatorToken}\n`],
  ])
}

function addRegions(control: string): void {
  const fresh = Object.fromEntries(others.map((region) => [region, newKeys(region)]))
  const [edge, controlling] = [read('edge'), read(control)]
  const shared = {
    SIGNING_ROOTS: settingIn(controlling, 'SIGNING_ROOTS'),
    OPERATORS: settingIn(controlling, 'OPERATORS'),
  }
  const known = { ...keysIn(edge), ...keysIn(controlling) }
  if (known[control] === undefined) fail(`${envOf(control)} has no assertion key of ${control}.`)
  const lacking = Object.keys(keysIn(edge)).find((region) => keysIn(controlling)[region] === undefined)
  if (lacking !== undefined)
    fail(
      `${envOf(control)} has no assertion key of ${lacking}. Name the control region first: it has all keys.`,
    )
  const twice = others.find((region) => known[region] !== undefined)
  if (twice !== undefined) fail(`${twice} has an assertion key already.`)
  writeNew(
    others.map((region) => regionFile(region, { ...pick(fresh, region), ...pick(known, control) }, shared)),
  )
  for (const [name, text] of [
    ['edge', edge],
    [control, controlling],
  ] as const) {
    const line = `ASSERTION_KEYS=${JSON.stringify({ ...keysIn(text), ...fresh })}`
    const changed = `${envOf(name)}.new`
    writeFileSync(
      changed,
      text.replace(KEYS_LINE, () => line),
      { mode: 0o600 },
    )
    renameSync(changed, envOf(name))
  }
}

const KEYS_LINE = /^ASSERTION_KEYS=.*$/m
const keysIn = (text: string): AssertionKeys => JSON.parse(settingIn(text, 'ASSERTION_KEYS'))

function read(name: string): string {
  if (!existsSync(envOf(name))) fail(`${envOf(name)} is not there.`)
  return readFileSync(envOf(name), 'utf8')
}

function settingIn(text: string, name: string): string {
  const [, value] = new RegExp(`^${name}=(.*)$`, 'm').exec(text) ?? []
  return value ?? fail(`A file has no ${name}.`)
}

await (values.add ? addRegions(control) : makeAll(control))
