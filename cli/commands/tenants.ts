// `coditect tenants`: organisations, for operators.
import { type Command, Option } from 'commander'
import type { Coditect, Operations } from '../../shared/client/index.ts'
import { LIMIT_NAMES, PLAN_NAMES, type PlanName } from '../../shared/plans.ts'
import { begunWork, followJob } from '../jobs.ts'
import { writeList, writeThing } from '../output.ts'
import { UsageError } from '../profile.ts'
import { type Ask, atMost, wholeNumber } from './command.ts'
import { writeUsage } from './usage.ts'

type ListQuery = Operations['GET /platform/v1/tenants']['query']
const ONE = '/platform/v1/tenants/{id}'

/** The id of an organisation that was named by id or slug. */
async function idOf(client: Coditect, named: string): Promise<string> {
  if (named.startsWith('ten_')) return named
  const found = await client.call('GET /platform/v1/tenants', { query: { slug: named, limit: 1 } })
  const [tenant] = found.data
  if (tenant?.slug === named) return tenant.id
  requireAnswers(found.unreachable)
  throw new Error(`there is no organisation ${named}`)
}

/** What is not listed may be there all the same. */
function requireAnswers(unreachable: ReadonlyArray<string>): void {
  if (unreachable.length === 0) return
  throw new Error(`no answer from ${unreachable.join(', ')}: organisations that live there are not shown`)
}

/** All of a list, as far as regions answer. @param unreachable takes those that do not */
async function* listed(client: Coditect, query: ListQuery, unreachable: Set<string>) {
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await client.call('GET /platform/v1/tenants', {
      query: { ...query, ...(cursor && { cursor }) },
    })
    for (const region of page.unreachable) unreachable.add(region)
    yield* page.data
    cursor = page.nextCursor
  }
}

function limitOf(typed: string, before: Record<string, number | null> = {}): Record<string, number | null> {
  const [, name = '', value = ''] = /^(\w+)=(\d+|plan)$/.exec(typed) ?? []
  if (!LIMIT_NAMES.some((each) => each === name)) {
    throw new UsageError(`${typed} is not like projects=5 or projects=plan, of ${LIMIT_NAMES.join(', ')}`)
  }
  return { ...before, [name]: value === 'plan' ? null : Number(value) }
}

export function addTenants(program: Command, ask: Ask): void {
  const tenants = program.command('tenants').description('organisations (for operators)')
  const plan = () => new Option('--plan <plan>', 'what it may have').choices(PLAN_NAMES)
  tenants
    .command('create <slug>')
    .description('make an organisation, live at once; prints its first API key, this once')
    .requiredOption('--email <address>', 'of the first owner')
    .option('--name <name>', 'how it is called; the slug otherwise')
    .option('--region <region>', 'where it lives', 'us')
    .addOption(plan().default('free'))
    .action(async (slug: string, given: { email: string; name?: string; region: string; plan: PlanName }) => {
      const { client, output } = ask()
      const { email, name = slug, region, plan } = given
      const body = { slug, name, region, plan, owner: { email } }
      const made = await client.call('POST /platform/v1/tenants', { body })
      if (output.json) return writeThing(output, made)
      const { tenant, apiKey, adminLink } = made
      writeThing(output, { ...tenant, apiKey: apiKey.key, adminLink: adminLink.url })
    })
  tenants
    .command('list')
    .description('list organisations, oldest first')
    .addOption(
      new Option('--order <order>', '`cost` shows who costs most')
        .choices(['created', 'cost'])
        .default('created'),
    )
    .option('--slug <prefix>', 'only those whose slug begins so')
    .option('--limit <number>', 'so many at most; all otherwise', wholeNumber)
    .action(async ({ order, slug, limit }: { order: 'created' | 'cost'; slug?: string; limit?: number }) => {
      if (order === 'cost' && slug !== undefined) throw new UsageError('--order cost goes without --slug')
      const { client, output } = ask()
      const columns = ['id', 'slug', 'plan', 'region', 'status', ...(order === 'cost' ? ['cost'] : [])]
      const query = { order, limit: Math.min(limit ?? 100, 100) || 1, ...(slug !== undefined && { slug }) }
      const unreachable = new Set<string>()
      await writeList(output, atMost(listed(client, query, unreachable), limit), columns)
      requireAnswers([...unreachable])
    })
  tenants
    .command('show <tenant>')
    .description('show an organisation, by id or slug')
    .action(async (named: string) => {
      const { client, output } = ask()
      writeThing(output, await client.call(`GET ${ONE}`, { params: { id: await idOf(client, named) } }))
    })
  tenants
    .command('update <tenant>')
    .description('change name, plan or limits of an organisation')
    .option('--name <name>', 'how it is called')
    .addOption(plan())
    .option(
      '--limit <name=value>',
      'instead of the plan’s, such as projects=5; projects=plan for the plan’s again. May be repeated',
      limitOf,
    )
    .action(
      async (
        named: string,
        { limit, ...changes }: { name?: string; plan?: PlanName; limit?: Record<string, number | null> },
      ) => {
        const { client, output } = ask()
        const body = { ...changes, ...(limit !== undefined && { limits: limit }) }
        const id = await idOf(client, named)
        writeThing(output, await client.call(`PATCH ${ONE}`, { params: { id }, body }))
      },
    )
  for (const [verb, status, says] of [
    ['suspend', 'suspended', 'refuse all requests of an organisation from now on; nothing is lost'],
    ['resume', 'active', 'let a suspended organisation in again'],
  ] as const) {
    tenants
      .command(`${verb} <tenant>`)
      .description(says)
      .action(async (named: string) => {
        const { client, output } = ask()
        const id = await idOf(client, named)
        writeThing(output, await client.call(`PATCH ${ONE}`, { params: { id }, body: { status } }))
      })
  }
  tenants
    .command('link <tenant>')
    .description('make a link into the console for an owner who has no other way in; it works once')
    .option('--email <address>', 'of the owner; otherwise it is for the one who has been a member longest')
    .action(async (named: string, body: { email?: string }) => {
      const { client, output } = ask()
      const id = await idOf(client, named)
      writeThing(output, await client.call(`POST ${ONE}/admin-links`, { params: { id }, body }))
    })
  tenants
    .command('usage <tenant>')
    .description('what an organisation has and did, and its limits')
    .addOption(new Option('--by <period>', 'of the history').choices(['hour', 'day']).default('hour'))
    .action(async (named: string, query: { by: 'hour' | 'day' }) => {
      const { client, output } = ask()
      const id = await idOf(client, named)
      await writeUsage(output, await client.call(`GET ${ONE}/usage`, { params: { id }, query }))
    })
  tenants
    .command('delete <tenant>')
    .description('erase an organisation and everything it has, and wait for the certificate')
    .requiredOption('--yes', 'you mean it: that cannot be undone')
    .option('--no-wait', 'do not wait for the end of it')
    .action(async (named: string, { wait }: { wait: boolean }) => {
      const { client, output } = ask()
      const params = { id: await idOf(client, named) }
      const begun = await client.call(`DELETE ${ONE}`, { params })
      if (!wait) return writeThing(output, begun)
      // Once it is over, nothing but the id finds it.
      const look = begunWork(`coditect tenants delete ${params.id} --yes`, () =>
        client.call(`GET ${ONE}/erasure`, { params }),
      )
      writeThing(output, await followJob(look, output))
    })
}
