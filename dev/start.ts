// `npm start`: everything on this machine, until Ctrl-C. What can't start is one line and exit code 1.
import { DataDir } from './data_dir.ts'
import { createDemo, type DemoWay, demoWay } from './demo.ts'
import { loadSecrets, saveSecrets } from './secrets.ts'
import { HELP, REGIONS, readSettings } from './settings.ts'
import { Stack } from './stack.ts'
import { messageOf, StartError } from './start_error.ts'

const DEV_FILE = 'dev.json'
const say = (line: string): void => console.log(line)

/** Runs until `stopped` says so; resolves when all of it has ended. @throws {StartError} */
async function run(stopped: Promise<'stopped'>): Promise<void> {
  const settings = readSettings(process.env)
  const dir = new DataDir(settings.dataDir)
  dir.remove(DEV_FILE)
  const secrets = loadSecrets(dir)
  const stack = new Stack({ settings, secrets, dir, environment: process.env, say })
  const start = async () => {
    await stack.start()
    if (secrets.demo === undefined) {
      secrets.demo = await createDemo(stack.edgeUrl, secrets.operatorToken)
      saveSecrets(dir, secrets)
    }
    const { edgeUrl: edge, regionUrls: regions } = stack
    const { operatorToken } = secrets
    const way = await demoWay(edge, secrets.demo)
    const demo = { ...secrets.demo, adminUrl: way.adminUrl }
    // The last answers come while all of it ends: nobody may go by them any more.
    if (stack.isStopping) return
    dir.write(DEV_FILE, `${JSON.stringify({ edge, operatorToken, regions, demo }, null, 2)}\n`)
    const open = process.env.WEBHOOK_DEVELOPMENT_HOSTS
    if (open)
      say(`\n!!! Webhooks may be sent to ${open}, over http and into private networks: for development only.`)
    say(greeting(edge, regions, dir.file(DEV_FILE), way))
  }
  try {
    await Promise.race([start(), stopped])
    await stopped
  } finally {
    dir.remove(DEV_FILE)
    await stack.stop()
    dir.release()
  }
}

function greeting(
  edge: string,
  regions: Record<string, string>,
  devFile: string,
  { adminUrl, refused }: DemoWay,
): string {
  const key = `$(node -p 'require(process.argv[1]).demo.apiKey' ${quoted(devFile)})`
  const curl = `  curl -H "Authorization: Bearer ${key}" ${edge}/v1/tenant`
  return [
    '',
    `  edge       ${edge}`,
    ...REGIONS.map((region) => `  region ${region}  ${regions[region]}`),
    `  all of it  ${devFile}`,
    ...(adminUrl === null ? [`\n  ${refused}`] : [`  console    ${adminUrl}`, '', 'Try it:', '', curl]),
    '',
    'Ctrl-C stops everything.',
  ].join('\n')
}

/** For a shell, whatever the path holds. */
const quoted = (path: string): string => `'${path.replaceAll("'", `'\\''`)}'`

/** A terminal's Ctrl-C reaches npm too, which passes it on, so there may be two of each. */
const toldToStop = (): Promise<'stopped'> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => resolve('stopped'))
    // Started by a program (a test) that is gone.
    process.once('disconnect', () => resolve('stopped'))
  })

if (process.argv.includes('--help')) {
  console.log(HELP)
} else {
  await run(toldToStop()).catch((error: unknown) => {
    console.error(
      `coditect: ${error instanceof StartError ? error.message : `unexpected: ${messageOf(error)}`}`,
    )
    process.exitCode = 1
  })
  if (process.connected) process.disconnect()
}
