#!/usr/bin/env node
// The command line: the platform's API for operators and organisations. Exit codes: 0 done, 1 refused or failed, 2 typed
// wrongly, 3 nobody answered. A mistake is one line on standard error.
import { Command, CommanderError } from 'commander'
import { StorageError } from '../regional/storage/open.ts'
import { Coditect, CoditectProblem, ConnectionError } from '../shared/client/index.ts'
import { addAgents } from './commands/agents.ts'
import type { Ask } from './commands/command.ts'
import { addEvents } from './commands/events.ts'
import { addLogin } from './commands/login.ts'
import { addKeys, addMembers } from './commands/people.ts'
import { addJobs, addProjects } from './commands/projects.ts'
import { addCollections, addRecords } from './commands/records.ts'
import { addTenants } from './commands/tenants.ts'
import { addUsage } from './commands/usage.ts'
import {
  COPY_HELP,
  type CopyOptions,
  dbCopy,
  dbRestored,
  RESTORED_HELP,
  type RestoredOptions,
} from './db_command.ts'
import { Unfollowed } from './jobs.ts'
import { terminalOutput } from './output.ts'
import { readProfile, UsageError } from './profile.ts'

const program = new Command('coditect')
  .description('The command line of Coditect, for operators and organisations.')
  .option('--profile <name>', 'who asks: a profile that `login` made')
  .option('--json', 'answers as JSON, one object a line', false)
  .showHelpAfterError('(--help says how)')
  .addHelpText(
    'after',
    `
A profile that is named (--profile, CODITECT_PROFILE) says where the platform is and who asks; otherwise CODITECT_URL and
CODITECT_TOKEN do, both of them; without those, the profile in use.
Exit codes: 0 done, 1 refused or failed, 2 typed wrongly, 3 nobody answered.`,
  )

const ask: Ask = () => {
  const { profile, json } = program.opts<{ profile?: string; json: boolean }>()
  return { client: new Coditect(readProfile(process.env, profile)), output: terminalOutput(json) }
}

addLogin(program)
const adding = [addTenants, addKeys, addMembers, addProjects, addCollections, addRecords]
for (const add of [...adding, addAgents, addEvents, addJobs, addUsage]) add(program, ask)
const db = program.command('db').description('databases of regions')
db.command('copy')
  .description("copy a region's data to another, empty database and raise its epoch")
  .requiredOption('--from <place>', 'where the data is')
  .requiredOption('--to <place>', 'where it goes')
  .option('--from-prefix <text>', 'before every key there (ROOT_PREFIX)', '')
  .option('--to-prefix <text>', 'before every key there (ROOT_PREFIX)', '')
  .addHelpText('after', COPY_HELP)
  .action((options: CopyOptions) => dbCopy(options))
db.command('restored')
  .description("raise a region's epochs after its data was restored from a backup")
  .requiredOption('--in <place>', 'where the data is')
  .option('--prefix <text>', 'before every key there (ROOT_PREFIX)', '')
  .addHelpText('after', RESTORED_HELP)
  .action((options: RestoredOptions) => dbRestored(options))

function exitCodeOf(error: unknown): number {
  if (error instanceof Unfollowed) return exitCodeOf(error.cause)
  if (error instanceof UsageError) return 2
  if (error instanceof ConnectionError) return 3
  return 1
}

function lineOf(error: unknown): string {
  if (error instanceof Unfollowed) return `${lineOf(error.cause)}\n  ${error.message}`
  if (error instanceof CoditectProblem) {
    const where = error.errors.map(({ pointer, detail }) => `\n  ${pointer}: ${detail}`).join('')
    return `${error.detail} (${error.code}, ${error.requestId})${where}`
  }
  const mendable =
    error instanceof UsageError || error instanceof ConnectionError || error instanceof StorageError
  if (mendable || (error instanceof Error && error.constructor === Error)) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever reads has read enough, as `head` does.
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`coditect: what was to be told could not be written: ${error.message}\n`)
  process.exit(1)
})
// Nobody hears what goes wrong; the work goes on.
process.stderr.on('error', () => {})
for (const command of [program, ...program.commands]) command.exitOverride()
for (const command of program.commands.flatMap(({ commands }) => commands)) command.exitOverride()
try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    process.stderr.write(`coditect: ${lineOf(error)}\n`)
    process.exitCode = exitCodeOf(error)
  }
}
