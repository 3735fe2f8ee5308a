// Where the platform is, and who asks: from the environment, or from a profile in a file that nobody else can read.
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'

/** Whether requests can go below it. One with a password in it would be shown wherever the place is. */
export function isPlace(url: string): boolean {
  if (!URL.canParse(url) || /[?#]/.test(url)) return false
  const { protocol, username, password } = new URL(url)
  return /^https?:$/.test(protocol) && username === '' && password === ''
}
export const NO_PLACE =
  'is not a URL such as https://api.example.com, without a user, a password, a query and a fragment'
/** Whether a header can hold it: of what can't, the runtime's own error would show all of it. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text)
export const isProfileName = (text: string): boolean => /^[a-z\d][\w.-]{0,63}$/i.test(text)
export const PROFILE_NAMES = '1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first'
export const NO_TOKEN = 'no token: it is empty, or has a space, a line break or a letter beyond ASCII'

const isWebAddress = (url: string): boolean => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)

const profileSchema = z.object({
  // Earlier versions took more than a place: such a profile must not make the others useless.
  url: z.string().refine(isWebAddress, NO_PLACE),
  token: z.string().refine(isToken, `is ${NO_TOKEN}`),
})
const keptSchema = z.object({ current: z.string(), profiles: z.record(z.string(), profileSchema) })

export type Profile = z.infer<typeof profileSchema>
type Kept = z.infer<typeof keptSchema>

/** Something that whoever types can put right. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Environment = Readonly<Record<string, string | undefined>>

const profileFile = (environment: Environment): string =>
  environment.CODITECT_CONFIG ||
  join(environment.XDG_CONFIG_HOME || join(homedir(), '.config'), 'coditect', 'profiles.json')

function readKept(file: string): Kept {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
    // As ssh has it: what others can read is no secret any more.
    if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) {
      throw new UsageError(`${file} can be read by others; run: chmod 600 ${file}`)
    }
  } catch (error) {
    if (error instanceof UsageError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { current: 'default', profiles: {} }
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`)
  }
  const { success, data, error } = keptSchema.safeParse(parseJson(text))
  if (success) return data
  const { path, message } = error.issues[0] ?? { path: [], message: 'is damaged' }
  throw new UsageError(
    `${file} is not what \`login\` writes (${path.join('.') || 'the whole'}: ${message}); mend it, or remove it and log in again`,
  )
}

/** Every object has a `constructor`, whoever kept a profile of that name. */
const profileIn = ({ profiles }: Kept, name: string): Profile | undefined =>
  Object.hasOwn(profiles, name) ? profiles[name] : undefined

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * A profile that is named, then the environment, then the profile in use: each whole, since a token goes to the platform that
 * it is for, and nowhere else.
 * @throws {UsageError} that says what to do when nothing says where and who, or only half of it, or what neither can be
 */
export function readProfile(environment: Environment, name: string | undefined): Profile {
  const { CODITECT_URL: url, CODITECT_PROFILE } = environment
  // A file that sets it may end its lines in more than one way.
  const token = environment.CODITECT_TOKEN?.trim()
  const named = name || CODITECT_PROFILE || undefined
  if (named === undefined && url && token) {
    if (!isPlace(url)) throw new UsageError(`CODITECT_URL ${NO_PLACE}`)
    if (!isToken(token)) throw new UsageError(`CODITECT_TOKEN is ${NO_TOKEN}`)
    return { url, token }
  }
  if (named === undefined && (url || token)) {
    const [set, missing] = url ? ['CODITECT_URL', 'CODITECT_TOKEN'] : ['CODITECT_TOKEN', 'CODITECT_URL']
    throw new UsageError(`${set} is set and ${missing} is not: set both, or name a profile with --profile`)
  }
  const kept = readKept(profileFile(environment))
  const profile = profileIn(kept, named ?? kept.current)
  if (profile === undefined) {
    throw new UsageError(
      named === undefined
        ? 'set CODITECT_URL and CODITECT_TOKEN, or run: coditect login --url <url>'
        : `there is no profile ${named}; run: coditect login --as ${named} --url <url>`,
    )
  }
  if (!isPlace(profile.url)) throw new UsageError(`the profile’s URL ${NO_PLACE}; log in again`)
  return profile
}

/** @returns the file, which its owner alone can read */
export function writeProfile(environment: Environment, name: string, profile: Profile): string {
  const file = profileFile(environment)
  const { profiles } = readKept(file)
  return writeKept(file, { current: name, profiles: { ...profiles, [name]: profile } })
}

/** Without their tokens. */
export async function* listProfiles(
  environment: Environment,
): AsyncGenerator<{ name: string; url: string; current: boolean }> {
  const { current, profiles } = readKept(profileFile(environment))
  for (const [name, { url }] of Object.entries(profiles)) {
    yield { name, url: isPlace(url) ? url : new URL(url).origin, current: name === current }
  }
}

/** @throws {UsageError} where there is no such profile */
export function useProfile(environment: Environment, name: string): void {
  const file = profileFile(environment)
  const { profiles } = keptWith(file, name)
  writeKept(file, { current: name, profiles })
}

/** @throws {UsageError} where there is no such profile */
export function removeProfile(environment: Environment, name: string): void {
  const file = profileFile(environment)
  const { current, profiles } = keptWith(file, name)
  const { [name]: _, ...others } = profiles
  writeKept(file, { current, profiles: others })
}

function keptWith(file: string, name: string): Kept {
  const kept = readKept(file)
  if (profileIn(kept, name) === undefined) throw new UsageError(`there is no profile ${name}`)
  return kept
}

/** All or nothing: a token that is lost half-way can't be had again. */
function writeKept(file: string, kept: Kept): string {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.${process.pid}`
  rmSync(beside, { force: true })
  try {
    writeFileSync(beside, `${JSON.stringify(kept, undefined, 2)}\n`, { mode: 0o600 })
    renameSync(beside, file)
  } catch (error) {
    // There are tokens in it.
    rmSync(beside, { force: true })
    throw error
  }
  return file
}
