// `coditect login` and `coditect profiles`: who asks, kept in a file of one's own.
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { terminalOutput, writeList } from '../output.ts'
import {
  isPlace,
  isProfileName,
  isToken,
  listProfiles,
  NO_PLACE,
  NO_TOKEN,
  PROFILE_NAMES,
  removeProfile,
  UsageError,
  useProfile,
  writeProfile,
} from '../profile.ts'
import { typedSecret } from '../typed_secret.ts'

const readToken = (): Promise<string> =>
  process.stdin.isTTY ? typedSecret(process.stdin, (text) => process.stderr.write(text)) : text(process.stdin)

export function addLogin(program: Command): void {
  program
    .command('login')
    .description('keep a token in a profile (a file that you alone can read), and use it from now on')
    .requiredOption('--url <url>', 'where the platform is')
    .option('--token <token>', 'better not: others on the machine see it. Read from standard input otherwise')
    .option('--as <name>', 'the name of the profile; `default` otherwise')
    .action(async ({ url, token, as }: { url: string; token?: string; as?: string }) => {
      const name = as ?? program.opts<{ profile?: string }>().profile ?? 'default'
      if (!isPlace(url)) throw new UsageError(`--url ${NO_PLACE}`)
      if (!isProfileName(name)) throw new UsageError(`a profile’s name is ${PROFILE_NAMES}`)
      const given = (token ?? (await readToken())).trim()
      if (!isToken(given)) throw new UsageError(`that is ${NO_TOKEN}`)
      process.stdout.write(`Kept in ${writeProfile(process.env, name, { url, token: given })}.\n`)
    })

  const profiles = program.command('profiles').description('tokens that are kept')
  profiles
    .command('list')
    .description('list profiles, without their tokens')
    .action(async () => {
      const { json } = program.opts<{ json: boolean }>()
      await writeList(terminalOutput(json), listProfiles(process.env), ['name', 'url', 'current'])
    })
  profiles
    .command('use <name>')
    .description('use this profile from now on')
    .action((name: string) => useProfile(process.env, name))
  profiles
    .command('remove <name>')
    .description('forget a profile and its token')
    .action((name: string) => removeProfile(process.env, name))
}
