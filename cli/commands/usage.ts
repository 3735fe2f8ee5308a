// `coditect usage`: what an organisation has and did.
import { type Command, Option } from 'commander'
import type { Usage } from '../../shared/client/index.ts'
import { type Output, writeList, writeThing } from '../output.ts'
import type { Ask } from './command.ts'

export async function writeUsage(output: Output, usage: Usage): Promise<void> {
  if (output.json) return writeThing(output, usage)
  for (const [name, { used, limit }] of Object.entries(usage.quotas)) {
    output.write(`${name.padEnd(18)} ${used.toLocaleString('en')} of ${limit.toLocaleString('en')}\n`)
  }
  await writeList(output, each(usage.history), ['start', 'reads', 'writes', 'errors', 'units'])
}

async function* each<T>(things: ReadonlyArray<T>): AsyncGenerator<T> {
  yield* things
}

export function addUsage(program: Command, ask: Ask): void {
  program
    .command('usage')
    .description('what the organisation has and did, and its limits')
    .addOption(new Option('--by <period>', 'of the history').choices(['hour', 'day']).default('hour'))
    .action(async (query: { by: 'hour' | 'day' }) => {
      const { client, output } = ask()
      await writeUsage(output, await client.call('GET /v1/usage', { query }))
    })
}
