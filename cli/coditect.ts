#!/usr/bin/env node
// The command line: the platform's API for operators and organisations. Exit codes: 0 done, 1 refused or failed, 2 typed
// wrongly, 3 nobody answered. A mistake is one line on standard error.
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { Command, CommanderError, Option } from 'commander'
import { StorageError } from '../regional/storage/open.ts'
import { Coditect, CoditectProblem, ConnectionError } from '../shared/client/index.ts'
import { COPY_HELP, type CopyOptions, dbCopy } from './db_command.ts'
import { followJob } from './jobs.ts'
import { type Output, terminalOutput, writeList, writeThing } from './output.ts'
import { readProfile, UsageError, writeProfile } from './profile.ts'

interface Asking {
  client: Coditect
  output: Output
}

const program = new Command('coditect')
  .description('The command line of Coditect, for operators and organisations.')
  .option('--profile <name>', 'who asks: a profile that `login` made')
  .option('--json', 'answers as JSON, one object a line', false)
  .showHelpAfterError('(--help says how)')
  .addHelpText(
    'after',
    '\nCODITECT_URL and CODITECT_TOKEN say where the platform is and who asks; without them a profile does.',
  )

function asking(): Asking {
  const { profile, json } = program.opts<{ profile?: string; json: boolean }>()
  return { client: new Coditect(readProfile(process.env, profile)), output: terminalOutput(json) }
}

/** JSON as it was typed, from a file with `@name`, or from standard input with `-`. */
async function jsonFrom(given: string): Promise<Record<string, unknown>> {
  const read =
    given === '-' ? await text(process.stdin) : given.startsWith('@') ? fileText(given.slice(1)) : given
  try {
    const value: unknown = JSON.parse(read)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>
    }
  } catch {
    // Told below.
  }
  throw new UsageError('the data is not a JSON object')
}

function fileText(name: string): string {
  try {
    return readFileSync(name, 'utf8')
  } catch {
    throw new UsageError(`${name} cannot be read`)
  }
}

program
  .command('login')
  .description('keep a token in a profile (a file that you alone can read)')
  .requiredOption('--url <url>', 'where the platform is')
  .option('--token <token>', 'the token; read from standard input if it is not given')
  .option('--as <name>', 'the name of the profile', 'default')
  .action(async ({ url, token, as }: { url: string; token?: string; as: string }) => {
    if (!URL.canParse(url)) throw new UsageError('--url is not a URL')
    const given = (token ?? (await text(process.stdin))).trim()
    if (given === '') throw new UsageError('there is no token')
    process.stdout.write(`Kept in ${writeProfile(process.env, as, { url, token: given })}.\n`)
  })

const tenants = program.command('tenants').description('organisations (for operators)')
tenants
  .command('create <slug>')
  .requiredOption('--email <address>', 'of the first owner')
  .option('--name <name>', 'how it is called; the slug otherwise')
  .option('--region <region>', 'where it lives', 'us')
  .addOption(new Option('--plan <plan>').choices(['free', 'team', 'enterprise']).default('free'))
  .action(
    async (slug: string, given: { email: string; name?: string; region: string; plan: 'free' | 'team' }) => {
      const { client, output } = asking()
      const { email, name = slug, region, plan } = given
      const body = { slug, name, region, plan, owner: { email } }
      const made = await client.call('POST /platform/v1/tenants', { body })
      if (output.json) return writeThing(output, made)
      const { tenant, apiKey, adminLink } = made
      writeThing(output, { ...tenant, apiKey: apiKey.key, adminLink: adminLink.url })
    },
  )
tenants
  .command('list')
  .addOption(new Option('--order <order>').choices(['created', 'cost']).default('created'))
  .action(async ({ order }: { order: 'created' | 'cost' }) => {
    const { client, output } = asking()
    const columns = ['id', 'slug', 'plan', 'region', 'status', ...(order === 'cost' ? ['cost'] : [])]
    await writeList(output, client.all('GET /platform/v1/tenants', { query: { order, limit: 100 } }), columns)
  })
tenants.command('show <id>').action(async (id: string) => {
  const { client, output } = asking()
  writeThing(output, await client.call('GET /platform/v1/tenants/{id}', { params: { id } }))
})
for (const [verb, status] of [
  ['suspend', 'suspended'],
  ['resume', 'active'],
] as const) {
  tenants.command(`${verb} <id>`).action(async (id: string) => {
    const { client, output } = asking()
    const name = 'PATCH /platform/v1/tenants/{id}'
    writeThing(output, await client.call(name, { params: { id }, body: { status } }))
  })
}
tenants
  .command('delete <id>')
  .description('erase an organisation and everything it has')
  .requiredOption('--yes', 'that cannot be undone')
  .action(async (id: string) => {
    const { client, output } = asking()
    writeThing(output, await client.call('DELETE /platform/v1/tenants/{id}', { params: { id } }))
  })

const keys = program.command('keys').description('API keys')
keys
  .command('create <name>')
  .requiredOption('--scope <scopes...>', 'what it may do, such as projects:read')
  .option('--expires <time>', 'RFC 3339; never otherwise')
  .action(async (name: string, { scope, expires }: { scope: string[]; expires?: string }) => {
    const { client, output } = asking()
    // Which scopes there are, the platform knows.
    const body = { name, scopes: scope, ...(expires !== undefined && { expiresAt: expires }) } as never
    writeThing(output, await client.call('POST /v1/api-keys', { body }))
  })
keys.command('list').action(async () => {
  const { client, output } = asking()
  await writeList(output, client.all('GET /v1/api-keys'), ['id', 'name', 'scopes', 'expiresAt', 'lastUsedAt'])
})
keys.command('revoke <id>').action(async (id: string) => {
  const { client } = asking()
  await client.call('DELETE /v1/api-keys/{id}', { params: { id } })
})

const members = program.command('members').description('people of the organisation')
members.command('list').action(async () => {
  const { client, output } = asking()
  await writeList(output, client.all('GET /v1/members'), ['id', 'email', 'role'])
})

const projects = program.command('projects').description('projects')
projects
  .command('create <name>')
  .option('--description <text>', '', '')
  .action(async (name: string, { description }: { description: string }) => {
    const { client, output } = asking()
    writeThing(output, await client.call('POST /v1/projects', { body: { name, description } }))
  })
projects.command('list').action(async () => {
  const { client, output } = asking()
  await writeList(output, client.all('GET /v1/projects'), ['id', 'name', 'createdAt'])
})
projects.command('show <id>').action(async (id: string) => {
  const { client, output } = asking()
  writeThing(output, await client.call('GET /v1/projects/{id}', { params: { id } }))
})
projects
  .command('delete <id>')
  .description('delete a project and all below it, and wait for the end of it')
  .action(async (id: string) => {
    const { client, output } = asking()
    const { job } = await client.call('DELETE /v1/projects/{id}', { params: { id } })
    writeThing(output, await followJob(client, job, output))
  })

const records = program.command('records').description('documents of a collection')
const RECORDS = '/v1/projects/{projectId}/collections/{name}/records'
records
  .command('put <project> <collection> <data>')
  .description('add a record: JSON, @file, or - for standard input')
  .action(async (projectId: string, name: string, given: string) => {
    const { client, output } = asking()
    const data = (await jsonFrom(given)) as never
    writeThing(output, await client.call(`POST ${RECORDS}`, { params: { projectId, name }, body: { data } }))
  })
records
  .command('list <project> <collection>')
  .option('--where <conditions...>', 'such as city=Berlin or age[gte]=18, on declared indexes')
  .option('--order <field>', 'by an index; with - in front the other way round')
  .action(
    async (projectId: string, name: string, { where = [], order }: { where?: string[]; order?: string }) => {
      const { client, output } = asking()
      const conditions = Object.fromEntries(where.map(conditionOf))
      // Fields are the collection's own.
      const query = { ...conditions, ...(order !== undefined && { order }) } as never
      const list = client.all(`GET ${RECORDS}`, { params: { projectId, name }, query })
      await writeList(output, list, ['id', 'data', 'updatedAt'])
    },
  )
records
  .command('show <project> <collection> <id>')
  .action(async (projectId: string, name: string, id: string) => {
    const { client, output } = asking()
    writeThing(output, await client.call(`GET ${RECORDS}/{id}`, { params: { projectId, name, id } }))
  })
records
  .command('delete <project> <collection> <id>')
  .action(async (projectId: string, name: string, id: string) => {
    const { client } = asking()
    await client.call(`DELETE ${RECORDS}/{id}`, { params: { projectId, name, id } })
  })

function conditionOf(text: string): [string, string] {
  const [, field, operator = '', value] = /^([^=[\]]+)(\[\w+\])?=(.*)$/s.exec(text) ?? []
  if (field === undefined || value === undefined) throw new UsageError(`${text} is not like field=value`)
  return [`where[${field}]${operator}`, value]
}

const agents = program.command('agents').description('AI agents')
agents.command('list <project>').action(async (projectId: string) => {
  const { client, output } = asking()
  const list = client.all('GET /v1/projects/{projectId}/agents', { params: { projectId } })
  await writeList(output, list, ['id', 'name', 'model'])
})
agents
  .command('run <project> <agent> <input>')
  .description('run an agent and print what it says as it says it')
  .action(async (projectId: string, agentId: string, input: string) => {
    const { client, output } = asking()
    const name = 'POST /v1/projects/{projectId}/agents/{agentId}/runs'
    const said = input === '-' ? await text(process.stdin) : input
    for await (const { event, data } of client.stream(name, {
      params: { projectId, agentId },
      body: { input: said },
    })) {
      const run = data as {
        text?: string
        status?: string
        error?: { detail: string } | null
        detail?: string
      }
      if (event === 'delta' && !output.json) output.write(run.text ?? '')
      if (event === 'error') throw new Error(run.detail)
      if (event !== 'done') continue
      output.write(output.json ? `${JSON.stringify(data)}\n` : '\n')
      if (run.status !== 'succeeded') throw new Error(run.error?.detail ?? `the run was ${run.status}`)
    }
  })

const events = program.command('events').description('what changes in the organisation')
events
  .command('tail')
  .option('--after <event>', 'begin behind this event; now otherwise')
  .option('--types <types>', 'such as project.*,record.created')
  .action(async ({ after, types }: { after?: string; types?: string }) => {
    const { client, output } = asking()
    const stop = new AbortController()
    process.once('SIGINT', () => stop.abort())
    const query = { ...(after !== undefined && { after }), ...(types !== undefined && { types }) }
    try {
      for await (const event of client.tail('GET /v1/events', { query, signal: stop.signal })) {
        const { at, type, resource } = event
        output.write(output.json ? `${JSON.stringify(event)}\n` : `${at}  ${type}  ${resource}\n`)
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error
    }
  })

program
  .command('usage')
  .description('what the organisation has and did, and its limits')
  .addOption(new Option('--by <period>').choices(['hour', 'day']).default('hour'))
  .action(async ({ by }: { by: 'hour' | 'day' }) => {
    const { client, output } = asking()
    const usage = await client.call('GET /v1/usage', { query: { by } })
    if (output.json) return writeThing(output, usage)
    for (const [name, { used, limit }] of Object.entries(usage.quotas)) {
      output.write(`${name.padEnd(18)} ${used.toLocaleString('en')} of ${limit.toLocaleString('en')}\n`)
    }
    await writeList(output, each(usage.history), ['start', 'reads', 'writes', 'errors', 'units'])
  })

async function* each<T>(things: ReadonlyArray<T>): AsyncGenerator<T> {
  yield* things
}

program
  .command('db')
  .description('databases of regions')
  .command('copy')
  .description("copy a region's data to another, empty database and raise its epoch")
  .requiredOption('--from <place>', 'where the data is')
  .requiredOption('--to <place>', 'where it goes')
  .option('--from-prefix <text>', 'before every key there (ROOT_PREFIX)', '')
  .option('--to-prefix <text>', 'before every key there (ROOT_PREFIX)', '')
  .addHelpText('after', COPY_HELP)
  .action((options: CopyOptions) => dbCopy(options))

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2
  if (error instanceof ConnectionError) return 3
  return 1
}

function lineOf(error: unknown): string {
  if (error instanceof CoditectProblem) {
    const where = error.errors.map(({ pointer, detail }) => `\n  ${pointer}: ${detail}`).join('')
    return `${error.detail} (${error.code}, ${error.requestId})${where}`
  }
  const mendable =
    error instanceof UsageError || error instanceof ConnectionError || error instanceof StorageError
  if (mendable || (error instanceof Error && error.constructor === Error)) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

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
