// Regions as processes that can be killed in the middle of their work.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type Regions, startRegions } from '../regional/support.ts'

export interface KillableRegions extends Regions {
  /** SIGKILL, and a new process on the same data. */
  killAndRestart(region: string): Promise<void>
}

/** @param variables of the environment of all of them, looked at with each start */
export async function startKillableRegions(variables: Record<string, string> = {}): Promise<KillableRegions> {
  const processes = new Map<string, ChildProcess>()
  const regions = await startRegions({}, async (environment) => {
    const child = fork(new URL('./region_process.ts', import.meta.url), {
      env: { ...process.env, ...environment, ...variables },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
    if (typeof message !== 'object') throw new Error(`the region has ended: ${message}`)
    processes.set(environment.REGION ?? '', child)
    return {
      async close() {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGTERM')
        await once(child, 'exit')
      },
    }
  })
  return {
    ...regions,
    async killAndRestart(region) {
      const child = processes.get(region)
      child?.kill('SIGKILL')
      if (child !== undefined) await once(child, 'exit')
      await regions.start(region)
    },
  }
}
