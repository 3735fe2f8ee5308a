// Fresh secrets for a deployment: a file of environment variables for the edge and for each region, as
// `wrangler secret bulk`, `kubectl create secret --from-env-file`, compose and systemd read them.
//
//   npx node deploy/new_secrets.ts secrets us eu
//   npx node deploy/new_secrets.ts secrets us ap --add     later, for a region more
//   npx node deploy/new_secrets.ts --operator anna         later, and others below: one that takes another's place
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomBytes, toBase64url } from '../shared/bytes.ts'
import {
  hashOperatorToken,
  newOperatorToken,
  type OperatorConfig,
} from '../shared/credentials/operator_token.ts'
import { REGION_NAME } from '../shared/region.ts'

const USAGE = `Usage: npx node deploy/new_secrets.ts FOLDER REGION… [--add]
       npx node deploy/new_secrets.ts --operator NAME [--role read] | --key KID | --root ID | --sealing-key

  FOLDER   where the files go; none that is there is written over
  REGION   the names of the regions, the control region first
  --add    the control region is there already, and gets more regions: they get files of their own, and the edge and the
           control region their assertion keys beside what they have. Broken off, the same words go on with it

One more, for a rotation (docs/deploying.md), printed and written nowhere:

  --operator NAME  an operator's token, shown this once, and their entry for OPERATORS; --role read: one who may only look
  --key KID        an entry for a region's list in ASSERTION_KEYS, such as us-2
  --root ID        an entry for SIGNING_ROOTS, retired until all know it; ID is above all others', up to 255
  --sealing-key    a key for SEALING_KEY`

/** A credential's head has a byte for it. */
const MAX_ROOT = 255

type Variables = Record<string, string>
type AssertionKeys = Record<string, unknown>

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean', default: false },
    add: { type: 'boolean', default: false },
    operator: { type: 'string' },
    role: { type: 'string', default: 'admin' },
    key: { type: 'string' },
    root: { type: 'string' },
    'sealing-key': { type: 'boolean', default: false },
  },
})
const secret = (): string => toBase64url(randomBytes(32))
await printOne()
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
  for (const [name, text] of files) writeWhole(name, text)
  if (files.length > 0) process.stdout.write(`${folder}: ${files.map(([name]) => name).join(', ')}\n`)
}

/** All of it or nothing, whenever the process ends. */
function writeWhole(name: string, text: string): void {
  writeFileSync(`${fileOf(name)}.new`, text, { mode: 0o600 })
  renameSync(`${fileOf(name)}.new`, fileOf(name))
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

/** Ends the process where one secret is asked for. */
async function printOne(): Promise<void> {
  const { operator, role, key, root } = values
  const asked = [operator, key, root, values['sealing-key'] || undefined].filter((one) => one !== undefined)
  if (values.help || asked.length === 0) return
  const isAdmin = role === 'admin'
  const fits =
    asked.length === 1 &&
    positionals.length === 0 &&
    operator !== '' &&
    key !== '' &&
    (isAdmin || (role === 'read' && operator !== undefined)) &&
    (root === undefined || (/^[1-9]\d{0,2}$/.test(root) && Number(root) <= MAX_ROOT))
  if (!fits) {
    process.stderr.write(`${USAGE}\n`)
    process.exit(2)
  }
  const lines: unknown[] = []
  if (operator !== undefined) {
    const token = newOperatorToken()
    const secretHash = await hashOperatorToken(token)
    const entry: OperatorConfig = { id: operator, role: isAdmin ? 'admin' : 'read', secretHash }
    lines.push(token, entry)
  } else if (key !== undefined) lines.push({ kid: key, secret: secret() })
  else if (root !== undefined) lines.push({ id: Number(root), secret: secret(), state: 'retired' })
  else lines.push(secret())
  for (const line of lines)
    process.stdout.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`)
  process.exit(0)
}

/** The new regions' files first, then the key of each at the control region, then at the edge: broken off, it can go on. */
function addRegions(control: string): void {
  const [edge, controlling] = [read('edge'), read(control)]
  const shared = {
    SIGNING_ROOTS: settingIn(controlling, 'SIGNING_ROOTS'),
    OPERATORS: settingIn(controlling, 'OPERATORS'),
  }
  const [ofEdge, ofControl] = [keysIn(edge), keysIn(controlling)]
  if (ofControl[control] === undefined) fail(`${envOf(control)} has no assertion key of ${control}.`)
  const lacking = Object.keys(ofEdge).find(
    (region) => ofControl[region] === undefined && !others.includes(region),
  )
  if (lacking !== undefined)
    fail(
      `${envOf(control)} has no assertion key of ${lacking}. Name the control region first: it has all keys.`,
    )
  const twice = others.find((region) => ofEdge[region] !== undefined && ofControl[region] !== undefined)
  if (twice !== undefined) fail(`${twice} has an assertion key already.`)
  const begun = others.filter((region) => existsSync(envOf(region)))
  const keys = Object.fromEntries(
    others.map((region) => [region, begun.includes(region) ? keysIn(read(region))[region] : newKeys(region)]),
  )
  for (const region of begun) {
    const isOfThese =
      keys[region] !== undefined && settingIn(read(region), 'SIGNING_ROOTS') === shared.SIGNING_ROOTS
    if (!isOfThese) fail(`${envOf(region)} is there already.`)
  }
  writeNew(
    others
      .filter((region) => !begun.includes(region))
      .map((region) => regionFile(region, { ...pick(keys, region), ...pick(ofControl, control) }, shared)),
  )
  for (const [name, text] of [
    [control, controlling],
    ['edge', edge],
  ] as const) {
    const line = `ASSERTION_KEYS=${JSON.stringify({ ...keysIn(text), ...keys })}`
    writeWhole(
      `${name}.env`,
      text.replace(KEYS_LINE, () => line),
    )
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
