// `coditect events tail`: what changes in the organisation, as it changes.
import type { Command } from 'commander'
import { plain } from '../output.ts'
import type { Ask } from './command.ts'

export function addEvents(program: Command, ask: Ask): void {
  program
    .command('events')
    .description('what changes in the organisation')
    .command('tail')
    .description('print what changes, as it changes; Ctrl-C ends it')
    .option('--after <event>', 'begin behind this event; now otherwise')
    .option('--types <types>', 'such as project.*,record.created')
    .action(async ({ after, types }: { after?: string; types?: string }) => {
      const { client, output } = ask()
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      const query = { ...(after !== undefined && { after }), ...(types !== undefined && { types }) }
      try {
        for await (const event of client.tail('GET /v1/events', { query, signal: stop.signal })) {
          const { at, type, resource } = event
          output.write(output.json ? `${JSON.stringify(event)}\n` : `${at}  ${type}  ${plain(resource)}\n`)
        }
      } catch (error) {
        if (!stop.signal.aborted) throw error
      }
    })
}
