// `coditect keys`, `coditect members`: who may act for the organisation.
import type { Command } from 'commander'
import { writeList, writeThing } from '../output.ts'
import { type Ask, several, wholeNumber } from './command.ts'

export function addKeys(program: Command, ask: Ask): void {
  const keys = program.command('keys').description('API keys')
  keys
    .command('create <name>')
    .description('make an API key, and print it this once; it allows at most what yours does')
    .requiredOption(
      '--scope <scope>',
      'what it may do, such as projects:read; may be given several times',
      several,
    )
    .option('--expires <time>', 'RFC 3339; never otherwise')
    .action(async (name: string, { scope, expires }: { scope: ReadonlyArray<string>; expires?: string }) => {
      const { client, output } = ask()
      // Which scopes there are, the platform knows.
      const body = { name, scopes: scope, ...(expires !== undefined && { expiresAt: expires }) } as never
      writeThing(output, await client.call('POST /v1/api-keys', { body }))
    })
  keys
    .command('list')
    .description('list live API keys, oldest first')
    .action(async () => {
      const { client, output } = ask()
      const columns = ['id', 'name', 'scopes', 'expiresAt', 'lastUsedAt']
      await writeList(output, client.all('GET /v1/api-keys'), columns)
    })
  keys
    .command('rotate <id>')
    .description('make a key in the place of another, and print it this once')
    .option('--overlap <seconds>', 'so long both hold; a day otherwise, 0 for not at all', wholeNumber)
    .action(async (id: string, { overlap }: { overlap?: number }) => {
      const { client, output } = ask()
      const body = overlap === undefined ? {} : { overlapSeconds: overlap }
      writeThing(output, await client.call('POST /v1/api-keys/{id}/rotate', { params: { id }, body }))
    })
  keys
    .command('revoke <id>')
    .description('revoke an API key: its next request is refused')
    .action(async (id: string) => {
      const { client } = ask()
      await client.call('DELETE /v1/api-keys/{id}', { params: { id } })
    })
}

export function addMembers(program: Command, ask: Ask): void {
  program
    .command('members')
    .description('people of the organisation')
    .command('list')
    .description('list members, oldest first')
    .action(async () => {
      const { client, output } = ask()
      await writeList(output, client.all('GET /v1/members'), ['id', 'email', 'role'])
    })
}
