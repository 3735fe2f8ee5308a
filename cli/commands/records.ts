// `coditect collections`, `coditect records`: documents, and the indexes that queries need.
import type { Command } from 'commander'
import type { Collection } from '../../shared/client/index.ts'
import { begunJob, endOfJob, followJob } from '../jobs.ts'
import { writeList, writeThing } from '../output.ts'
import { UsageError } from '../profile.ts'
import { type Ask, atMost, etag, jsonFrom, several, wholeNumber } from './command.ts'

const COLLECTION = '/v1/projects/{projectId}/collections/{name}'
const RECORDS = `${COLLECTION}/records` as const

export function addCollections(program: Command, ask: Ask): void {
  const collections = program.command('collections').description('collections of a project')
  collections
    .command('list <project>')
    .description('list collections, by name')
    .action(async (projectId: string) => {
      const { client, output } = ask()
      const list = client.all('GET /v1/projects/{projectId}/collections', { params: { projectId } })
      await writeList(output, list, ['name', 'records', 'updatedAt'])
    })
  collections
    .command('show <project> <collection>')
    .description('show a collection with its indexes and schema')
    .action(async (projectId: string, name: string) => {
      const { client, output } = ask()
      writeThing(output, await client.call(`GET ${COLLECTION}`, { params: { projectId, name } }))
    })
  collections
    .command('declare <project> <collection> <declaration>')
    .description('declare indexes and schema, and wait until the indexes are built: JSON, @file, or -')
    .addHelpText(
      'after',
      '\nThe whole declaration, such as {"indexes": [{"field": "email", "type": "string", "unique": true}]};\nan index that it does not name is dropped, and so is the schema that it does not state.',
    )
    .action(async (projectId: string, name: string, typed: string) => {
      const { client, output } = ask()
      const params = { projectId, name }
      const body = (await jsonFrom(typed)) as never
      const { indexes } = await client.call(`PUT ${COLLECTION}`, { params, body })
      // What is ready had a job, too, which may have failed over another index, or be forgotten by now.
      const building = indexes.filter(({ state }) => state === 'building')
      for (const job of new Set(building.flatMap(({ job }) => job ?? []))) {
        await endOfJob(begunJob(client, job), output)
      }
      const collection = await client.call(`GET ${COLLECTION}`, { params })
      writeThing(output, collection)
      const failed = collection.indexes.filter(({ state }) => state === 'failed')
      if (failed.length > 0) throw new Error(failed.map(whyFailed).join('\n'))
    })
  collections
    .command('delete <project> <collection>')
    .description('delete a collection and its records, and wait for the end of it')
    .option('--no-wait', 'do not wait for the end of it')
    .action(async (projectId: string, name: string, { wait }: { wait: boolean }) => {
      const { client, output } = ask()
      const begun = await client.call(`DELETE ${COLLECTION}`, { params: { projectId, name } })
      writeThing(output, wait ? await followJob(begunJob(client, begun.job), output) : begun)
    })
}

function whyFailed({ fields, error }: Collection['indexes'][number]): string {
  const names = fields.map(({ field }) => field).join(', ')
  if (error === null) return `the job that was to build the index on ${names} has ended: declare it again`
  const records = error.records.length === 0 ? '' : ` (${error.records.join(', ')})`
  return `the index on ${names} could not be built: ${error.detail}${records}`
}

export function addRecords(program: Command, ask: Ask): void {
  const records = program.command('records').description('documents of a collection')
  records
    .command('put <project> <collection> <data>')
    .description('add a record, or replace one: JSON, @file, or - for standard input')
    .option('--id <record>', 'replaces this one')
    .option('--if-match <etag>', 'only if it is still as you know it, such as \'"3"\'', etag)
    .option('--expires <time>', 'RFC 3339: it is gone from then on')
    .action(
      async (
        projectId: string,
        name: string,
        typed: string,
        { id, ifMatch, expires }: { id?: string; ifMatch?: string; expires?: string },
      ) => {
        const { client, output } = ask()
        const data = (await jsonFrom(typed)) as never
        const body = { data, ...(expires !== undefined && { expiresAt: expires }) }
        const params = { projectId, name }
        if (id === undefined && ifMatch !== undefined) throw new UsageError('--if-match goes with --id')
        const record =
          id === undefined
            ? await client.call(`POST ${RECORDS}`, { params, body })
            : await client.call(`PUT ${RECORDS}/{id}`, {
                params: { ...params, id },
                body,
                ...(ifMatch !== undefined && { ifMatch }),
              })
        writeThing(output, record)
      },
    )
  records
    .command('patch <project> <collection> <id> <changes>')
    .description('merge changes into a record (RFC 7396; null removes a field): JSON, @file, or -')
    .option('--if-match <etag>', 'only if it is still as you know it, such as \'"3"\'', etag)
    .action(
      async (
        projectId: string,
        name: string,
        id: string,
        typed: string,
        { ifMatch }: { ifMatch?: string },
      ) => {
        const { client, output } = ask()
        const data = (await jsonFrom(typed)) as never
        const changed = await client.call(`PATCH ${RECORDS}/{id}`, {
          params: { projectId, name, id },
          body: { data },
          ...(ifMatch !== undefined && { ifMatch }),
        })
        writeThing(output, changed)
      },
    )
  records
    .command('list <project> <collection>')
    .description('list records, or query them by a declared index')
    .option('--where <condition>', 'such as city=Berlin or age[gte]=18; may be given several times', several)
    .option('--order <field>', 'by an index; with - in front the other way round')
    .option('--limit <number>', 'so many at most; all otherwise', wholeNumber)
    .action(
      async (
        projectId: string,
        name: string,
        { where = [], order, limit }: { where?: ReadonlyArray<string>; order?: string; limit?: number },
      ) => {
        const { client, output } = ask()
        const conditions = Object.fromEntries(where.map(conditionOf))
        // Fields are the collection's own.
        const query = { ...conditions, ...(order !== undefined && { order }), limit: 100 } as never
        const list = client.all(`GET ${RECORDS}`, { params: { projectId, name }, query })
        await writeList(output, atMost(list, limit), ['id', 'updatedAt', 'data'])
      },
    )
  records
    .command('show <project> <collection> <id>')
    .description('show a record')
    .action(async (projectId: string, name: string, id: string) => {
      const { client, output } = ask()
      writeThing(output, await client.call(`GET ${RECORDS}/{id}`, { params: { projectId, name, id } }))
    })
  records
    .command('delete <project> <collection> <id>')
    .description('delete a record')
    .action(async (projectId: string, name: string, id: string) => {
      const { client } = ask()
      await client.call(`DELETE ${RECORDS}/{id}`, { params: { projectId, name, id } })
    })
}

/** @throws {UsageError} for `age>=18`, too: it would ask for a field called `age>` */
function conditionOf(text: string): [string, string] {
  const [, field, operator = '', value] = /^([^=[\]]+)(\[\w+\])?=(.*)$/s.exec(text) ?? []
  if (field === undefined || value === undefined || /[<>!~]$/.test(field)) {
    throw new UsageError(
      `${text} is not like field=value, or field[gte]=value with one of gt, gte, lt, lte and prefix`,
    )
  }
  return [`where[${field}]${operator}`, value]
}
