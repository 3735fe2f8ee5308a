// `coditect agents`: AI agents, and what they say as they say it.
import type { Command } from 'commander'
import type { Run } from '../../shared/client/index.ts'
import { writeList, writeThing } from '../output.ts'
import { type Ask, given } from './command.ts'

const AGENTS = '/v1/projects/{projectId}/agents'

export function addAgents(program: Command, ask: Ask): void {
  const agents = program.command('agents').description('AI agents')
  agents
    .command('create <project> <name>')
    .description('make an agent')
    .option('--model <name>', 'which model it runs on; otherwise the first that your plan may use')
    .option('--instructions <text>', 'what it is to do: text, @file, or -', '')
    .action(async (projectId: string, name: string, typed: { model?: string; instructions: string }) => {
      const { client, output } = ask()
      const { model = null } = typed
      const body = { name, model, instructions: await given(typed.instructions) }
      writeThing(output, await client.call(`POST ${AGENTS}`, { params: { projectId }, body }))
    })
  agents
    .command('list <project>')
    .description('list agents, oldest first')
    .action(async (projectId: string) => {
      const { client, output } = ask()
      const list = client.all(`GET ${AGENTS}`, { params: { projectId } })
      await writeList(output, list, ['id', 'name', 'model'])
    })
  agents
    .command('models')
    .description('list the models that there are')
    .action(async () => {
      const { client, output } = ask()
      const columns = ['name', 'available', 'inputTokenPrice', 'outputTokenPrice', 'plans']
      await writeList(output, client.all('GET /v1/models'), columns)
    })
  agents
    .command('run <project> <agent> <input>')
    .description('run an agent and print what it says as it says it: text, @file, or -')
    .action(async (projectId: string, agentId: string, typed: string) => {
      const { client, output } = ask()
      const params = { projectId, agentId }
      const stream = client.stream(`POST ${AGENTS}/{agentId}/runs`, {
        params,
        body: { input: await given(typed) },
      })
      let told = false
      for await (const { event, data } of stream) {
        const run = data as Partial<Run> & { text?: string }
        if (event === 'delta' && !output.json) {
          told = true
          output.writeText(run.text ?? '')
        }
        if (event !== 'done') continue
        // Where the answer's beginning got lost the same run was asked for again, and is told whole.
        if (!told && !output.json) output.writeText(run.output ?? '')
        output.write(output.json ? `${JSON.stringify(data)}\n` : '\n')
        if (run.status !== 'succeeded') throw new Error(run.error?.detail ?? `the run was ${run.status}`)
      }
    })
}
