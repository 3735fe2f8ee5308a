// Where the platform is, and who asks: from the environment, or from a profile in a file that nobody else can read.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

export interface Profile {
  url: string
  token: string
}

interface Kept {
  current: string
  profiles: Record<string, Profile>
}

/** Something that whoever types can put right. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Environment = Readonly<Record<string, string | undefined>>

export const profileFile = (environment: Environment): string =>
  environment.CODITECT_CONFIG ??
  join(environment.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'coditect', 'profiles.json')

function readKept(file: string): Kept {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { current: 'default', profiles: {} }
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`)
  }
  try {
    return JSON.parse(text) as Kept
  } catch {
    throw new UsageError(`${file} is not JSON; remove it and log in again`)
  }
}

/** @throws {UsageError} that says what to do when nothing says where and who */
export function readProfile(environment: Environment, name: string | undefined): Profile {
  const { CODITECT_URL: url, CODITECT_TOKEN: token, CODITECT_PROFILE: named } = environment
  if (name === undefined && url && token) return { url, token }
  const { current, profiles } = readKept(profileFile(environment))
  const profile = profiles[name ?? named ?? current]
  if (profile === undefined) {
    throw new UsageError(
      name === undefined
        ? 'set CODITECT_URL and CODITECT_TOKEN, or run: coditect login --url <url>'
        : `there is no profile ${name}; run: coditect login --profile ${name} --url <url>`,
    )
  }
  return { url: url ?? profile.url, token: token ?? profile.token }
}

/** @returns the file, which its owner alone can read */
export function writeProfile(environment: Environment, name: string, profile: Profile): string {
  const file = profileFile(environment)
  const kept = readKept(file)
  const next: Kept = { current: name, profiles: { ...kept.profiles, [name]: profile } }
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, `${JSON.stringify(next, undefined, 2)}\n`, { mode: 0o600 })
  return file
}
