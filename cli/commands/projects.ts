// `coditect projects`, `coditect jobs`: projects, and long work such as deleting one.
import type { Command } from 'commander'
import { begunJob, followJob } from '../jobs.ts'
import { writeList, writeThing } from '../output.ts'
import type { Ask } from './command.ts'

export function addProjects(program: Command, ask: Ask): void {
  const projects = program.command('projects').description('projects')
  projects
    .command('create <name>')
    .description('make a project')
    .option('--description <text>', 'what it is for', '')
    .action(async (name: string, { description }: { description: string }) => {
      const { client, output } = ask()
      writeThing(output, await client.call('POST /v1/projects', { body: { name, description } }))
    })
  projects
    .command('list')
    .description('list projects, oldest first')
    .action(async () => {
      const { client, output } = ask()
      await writeList(output, client.all('GET /v1/projects'), ['id', 'name', 'createdAt'])
    })
  projects
    .command('show <id>')
    .description('show a project')
    .action(async (id: string) => {
      const { client, output } = ask()
      writeThing(output, await client.call('GET /v1/projects/{id}', { params: { id } }))
    })
  projects
    .command('update <id>')
    .description('change name or description of a project')
    .option('--name <name>', 'how it is called')
    .option('--description <text>', 'what it is for')
    .action(async (id: string, body: { name?: string; description?: string }) => {
      const { client, output } = ask()
      writeThing(output, await client.call('PATCH /v1/projects/{id}', { params: { id }, body }))
    })
  for (const [verb, says] of [
    ['archive', 'make a project, and all below it, readable only'],
    ['restore', 'let an archived project be changed again'],
  ] as const) {
    projects
      .command(`${verb} <id>`)
      .description(says)
      .action(async (id: string) => {
        const { client, output } = ask()
        writeThing(output, await client.call(`POST /v1/projects/{id}/${verb}`, { params: { id } }))
      })
  }
  projects
    .command('delete <id>')
    .description('delete a project and all below it, and wait for the end of it')
    .option('--no-wait', 'do not wait for the end of it')
    .action(async (id: string, { wait }: { wait: boolean }) => {
      const { client, output } = ask()
      const begun = await client.call('DELETE /v1/projects/{id}', { params: { id } })
      writeThing(output, wait ? await followJob(begunJob(client, begun.job), output) : begun)
    })
}

export function addJobs(program: Command, ask: Ask): void {
  const jobs = program.command('jobs').description('long work')
  jobs
    .command('show <id>')
    .description('show how far a job is')
    .action(async (id: string) => {
      const { client, output } = ask()
      writeThing(output, await client.call('GET /v1/jobs/{id}', { params: { id } }))
    })
  jobs
    .command('wait <id>')
    .description('wait for the end of a job')
    .action(async (id: string) => {
      const { client, output } = ask()
      const look = () => client.call('GET /v1/jobs/{id}', { params: { id } })
      writeThing(output, await followJob(look, output))
    })
  jobs
    .command('cancel <id>')
    .description('cancel a job: no further step of it takes effect')
    .action(async (id: string) => {
      const { client, output } = ask()
      writeThing(output, await client.call('DELETE /v1/jobs/{id}', { params: { id } }))
    })
}
