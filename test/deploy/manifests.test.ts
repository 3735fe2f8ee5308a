// What lies in deploy/ fits the code: every setting is one that is read, every secret one that is made, every file one that
// the image holds, every signal one that a region gives; and the manifests fit the schemas of what they are given to.
import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { maxHeaderSize } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject'
import { Service as KnativeService } from '@kubernetes-models/knative/serving.knative.dev/v1/Service'
import { build } from 'esbuild'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler'
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { Service } from 'kubernetes-models/v1/Service'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { readBindings } from '../../edge/env.ts'
import { readConfig, SETTINGS } from '../../regional/config.ts'
import { type Region, startRegion } from '../../regional/server.ts'
import { RUN_MS } from '../../regional/services/agents/runs.ts'
import { SETTLE_MS } from '../../regional/tenancy/outside.ts'
import { findOperator, hashOperatorToken } from '../../shared/credentials/operator_token.ts'
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { PLANS } from '../../shared/plans.ts'
import { ROOT } from '../e2e/stack.ts'

// biome-ignore lint/suspicious/noExplicitAny: manifests, each looked at where it is used
type Manifest = any

const run = promisify(execFile)
const deploy = (...path: string[]): string => join(ROOT, 'deploy', ...path)
const text = (...path: string[]): string => readFileSync(deploy(...path), 'utf8')
const manifests = (...path: string[]): Manifest[] =>
  parseAllDocuments(text(...path), { merge: true }).map((document) => document.toJS())

const folder = mkdtempSync(join(tmpdir(), 'coditect-deploy-'))
const secrets: Record<string, Record<string, string>> = {}
let region: Region

function secretsIn(made: string, name: string): Record<string, string> {
  const lines = readFileSync(join(folder, made, `${name}.env`), 'utf8')
    .trim()
    .split('\n')
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}
const newSecrets = (...args: string[]) => run(process.execPath, [deploy('new_secrets.ts'), ...args])

beforeAll(async () => {
  await newSecrets(join(folder, 'secrets'), 'us', 'eu', 'ap')
  for (const name of ['edge', 'us', 'eu', 'ap']) secrets[name] = secretsIn('secrets', name)
  const own = { PORT: '0', DATA_DIR: join(folder, 'data'), REGION: 'us', CONTROL_REGION: 'us' }
  const settings = { ...secrets.us, ...own, REGIONS: '{"us":["http://127.0.0.1:1"]}' }
  region = await startRegion(readConfig(settings), { writeLog: () => {} })
})
afterAll(async () => {
  await region.close()
  rmSync(folder, { recursive: true, force: true })
})

test('fresh secrets are for their owner alone, and differ by region', () => {
  expect(secrets.us?.SIGNING_ROOTS).toBe(secrets.edge?.SIGNING_ROOTS)
  expect(secrets.us?.SEALING_KEY).not.toBe(secrets.eu?.SEALING_KEY)
  expect(secrets.edge?.SEALING_KEY).toBeUndefined()
  expect(statSync(join(folder, 'secrets', 'us.env')).mode & 0o777).toBe(0o600)
})

/** What a folder holds, by file. */
const filesIn = (made: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(folder, made)).map((file) => [file, readFileSync(join(folder, made, file), 'utf8')]),
  )

test('secrets of two generations never lie side by side: where one file is there, none is written', async () => {
  mkdirSync(join(folder, 'begun'))
  writeFileSync(join(folder, 'begun', 'operator-token'), 'kept')
  for (const made of ['secrets', 'begun']) {
    const before = filesIn(made)
    await expect(newSecrets(join(folder, made), 'us', 'sa')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^\S+ is there already\. Nothing was written\.\n$/),
    })
    expect(filesIn(made)).toEqual(before)
  }
})

test('a region that is added later gets what one has, and the edge and the control region its key, beside their own', async () => {
  const grown = join(folder, 'grown')
  await newSecrets(grown, 'us', 'eu')
  writeFileSync(join(grown, 'edge.env'), `${filesIn('grown')['edge.env']}CONTROL_REGION=us\n`)
  const before = filesIn('grown')
  await newSecrets(grown, 'us', 'ap', '--add')
  const [edge, us, ap] = ['edge', 'us', 'ap'].map((name) => secretsIn('grown', name))
  const keysOf = (made = {}) => JSON.parse((made as Record<string, string>).ASSERTION_KEYS ?? '{}')
  expect(Object.keys(keysOf(edge))).toEqual(['us', 'eu', 'ap'])
  expect(keysOf(us)).toEqual(keysOf(edge))
  expect(keysOf(ap)).toEqual({ ap: keysOf(edge).ap, us: keysOf(edge).us })
  expect(ap).toMatchObject({ SIGNING_ROOTS: us?.SIGNING_ROOTS, OPERATORS: us?.OPERATORS })
  expect(ap?.SEALING_KEY).not.toBe(us?.SEALING_KEY)
  expect(statSync(join(grown, 'edge.env')).mode & 0o777).toBe(0o600)
  // All else is as it was.
  const { ap: _, ...keptKeys } = keysOf(edge)
  for (const name of ['edge', 'us']) {
    const kept = { ...secretsIn('grown', name), ASSERTION_KEYS: JSON.stringify(keptKeys) }
    expect(
      Object.entries(kept)
        .map((line) => `${line.join('=')}\n`)
        .join(''),
    ).toBe(before[`${name}.env`])
  }
  const after = filesIn('grown')
  expect(Object.keys(after).toSorted()).toEqual([...Object.keys(before), 'ap.env'].toSorted())
  expect([after['eu.env'], after['operator-token']]).toEqual([before['eu.env'], before['operator-token']])
  await expect(newSecrets(grown, 'us', 'eu', '--add')).rejects.toMatchObject({
    stderr: 'eu has an assertion key already. Nothing was written.\n',
  })
  await expect(newSecrets(grown, 'eu', 'sa', '--add')).rejects.toMatchObject({
    stderr: expect.stringMatching(/^\S+ has no assertion key of ap\. .* Nothing was written\.\n$/),
  })
  expect(filesIn('grown')).toEqual(after)
})

test.each([
  ['before the control region has its key', ['us', 'edge']],
  ['before the edge has it', ['edge']],
])('a region that was being added when the process ended is added by the same words: %s', async (_, late) => {
  const made = `broken-${late.length}`
  await newSecrets(join(folder, made), 'us', 'eu')
  const before = filesIn(made)
  await newSecrets(join(folder, made), 'us', 'ap', '--add')
  const whole = filesIn(made)
  for (const name of late) writeFileSync(join(folder, made, `${name}.env`), before[`${name}.env`] ?? '')
  await newSecrets(join(folder, made), 'us', 'ap', '--add')
  expect(filesIn(made)).toEqual(whole)
})

test('secrets for a rotation are ones that edge and region take', async () => {
  const print = async (...args: string[]) => (await newSecrets(...args)).stdout.trim().split('\n')
  const [token = '', operator = ''] = await print('--operator', 'anna', '--role', 'read')
  const [key = ''] = await print('--key', 'us-2')
  const [root = ''] = await print('--root', '2')
  const [sealingKey = ''] = await print('--sealing-key')
  const behind = (list: string | undefined, one: string) =>
    JSON.stringify([...JSON.parse(list ?? '[]'), JSON.parse(one)])
  const { us: usKeys, ...otherKeys } = JSON.parse(secrets.edge?.ASSERTION_KEYS ?? '{}')
  const rotated = {
    ASSERTION_KEYS: JSON.stringify({ us: [JSON.parse(key), ...usKeys], ...otherKeys }),
    SIGNING_ROOTS: behind(secrets.us?.SIGNING_ROOTS, root),
    OPERATORS: behind(secrets.us?.OPERATORS, operator),
  }
  const at = { REGIONS: '{"us":["http://127.0.0.1:1"]}', CONTROL_REGION: 'us' }
  const config = readConfig({
    ...{ ...at, ...rotated, REGION: 'us', DATA_DIR: join(folder, 'data') },
    SEALING_KEY: `${secrets.us?.SEALING_KEY},${sealingKey}`,
  })
  expect(config.SEALING_KEY).toHaveLength(2)
  expect(config.SIGNING_ROOTS[1]).toMatchObject({ id: 2, state: 'retired' })
  const edge = await readBindings({ ...at, ...rotated, PUBLIC_ORIGIN: 'https://api.example' })
  expect(findOperator(await hashOperatorToken(token), edge.operators)).toMatchObject({
    id: 'anna',
    role: 'read',
  })
})

test.each([
  ['--root', 'x'],
  ['--root', '256'],
  ['--key', 'us-2', '--root', '2'],
  ['--key', 'us-2', '--role', 'read'],
  ['--operator', 'anna', '--role', 'owner'],
  ['secrets', '--sealing-key'],
])('words that new_secrets.ts does not take: %s %s %s', async (...args) => {
  const words = args.filter((word) => word !== undefined)
  await expect(newSecrets(...words)).rejects.toMatchObject({ code: 2, stdout: '' })
})

test('a region has the assertion keys of those that it calls: the control region all, the others its', () => {
  const keysOf = (name: string) => JSON.parse(secrets[name]?.ASSERTION_KEYS ?? '{}')
  const { us, eu, ap } = keysOf('edge')
  expect(keysOf('us')).toEqual({ us, eu, ap })
  expect(keysOf('eu')).toEqual({ eu, us })
  expect(keysOf('ap')).toEqual({ ap, us })
})

test.each(['new_secrets.ts', join('workerd', 'build.ts')])('%s says how it is called', async (script) => {
  const { stderr } = await run(process.execPath, [deploy(script), '--help'])
  expect(stderr).toMatch(/^Usage: npx node deploy\//)
})

test('secrets, wherever in the repository they are made, get into no commit and no image', () => {
  const lines = (file: string) => readFileSync(join(ROOT, file), 'utf8').split('\n')
  // Git's patterns without a slash in front or within hold at every depth; Docker's do with `**/` alone.
  expect(lines('.gitignore')).toEqual(expect.arrayContaining(['secrets/', '*.env']))
  expect(lines('.dockerignore')).toEqual(expect.arrayContaining(['**/secrets', '**/*.env']))
})

const compose: Manifest = parse(text('compose.yaml'), { merge: true })
const [configMap, deployment, service, budget, ingress] = manifests('kubernetes', 'region.yaml')
const [keda] = manifests('kubernetes', 'keda.yaml')
const [autoscaler] = manifests('kubernetes', 'hpa.yaml')
const [cloudRun] = manifests('cloud-run', 'service.yaml')
const [template] = manifests('lambda', 'template.yaml')
const [cloudRunContainer] = cloudRun.spec.template.spec.containers
const functionOf = template.Resources.Function.Properties

/** A region's variables, in each place; what a secret store gives is taken from the fresh secrets. */
const settingsIn: Record<string, Record<string, string>> = {
  compose: compose.services['us-a'].environment,
  kubernetes: configMap.data,
  'Cloud Run': Object.fromEntries(
    cloudRunContainer.env.map(({ name, value }: Manifest) => [name, value ?? 'a secret']),
  ),
  Lambda: {
    ...functionOf.Environment.Variables,
    REGION: 'us',
    CONTROL_REGION: 'us',
    REGIONS: '{"us":["https://us.region.example"]}',
    ROOT_PREFIX: 'us',
  },
}

test('on Lambda a region’s keys stand under its name', () => {
  expect(functionOf.Environment.Variables.ROOT_PREFIX).toEqual({ Ref: 'Region' })
})

test.each(Object.keys(settingsIn))('a region starts with what %s gives it, and reads all of it', (place) => {
  const given = settingsIn[place] ?? {}
  expect(Object.keys(given).filter((name) => !SETTINGS.includes(name))).toEqual(
    place === 'Lambda' ? ['FDB_CLUSTER_FILE_CONTENTS'] : [],
  )
  if (place === 'Cloud Run' || place === 'Lambda') {
    expect(Object.keys(given)).toEqual(expect.arrayContaining(Object.keys(secrets.us ?? {})))
  }
  const config = readConfig({ ...given, ...secrets.us })
  expect(config.REGION).toBe('us')
  // Copied for another region of the same cluster, it would otherwise lie on this one's keys.
  expect(given.ROOT_PREFIX).toBe('us')
})

test('on Cloud Run each region has secrets of its own, of the variables in its file', () => {
  const refs = cloudRunContainer.env.filter(({ valueFrom }: Manifest) => valueFrom !== undefined)
  const names = refs.map(({ name, valueFrom }: Manifest) => [name, valueFrom.secretKeyRef.name])
  const ofFile = Object.keys(secrets.us ?? {}).map((name) => [
    name,
    `coditect-us-${name.toLowerCase().replaceAll('_', '-')}`,
  ])
  expect(names.toSorted()).toEqual(ofFile.toSorted())
})

test('the words that bring a region’s file to Cloud Run bring all of it, whoever has edited it', async () => {
  const docs = readFileSync(join(ROOT, 'docs', 'deploying.md'), 'utf8')
  const [words = ''] = /^ {2}while [^`]*?us\.env$/m.exec(docs) ?? []
  const [at, bin] = [join(folder, 'cloud-run'), join(folder, 'bin')]
  mkdirSync(join(at, 'secrets'), { recursive: true })
  mkdirSync(bin)
  const settings = { ...secrets.us, SMTP_URL: 'smtp://me:a=b\\%s@mail.example' }
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  writeFileSync(join(at, 'secrets', 'us.env'), `# Ours\n\n${lines.join('\n')}`)
  const gcloud = `#!/bin/sh\ncase $2 in versions) cat > "$4";; esac\n`
  writeFileSync(join(bin, 'gcloud'), gcloud, { mode: 0o755 })
  await run('sh', ['-c', words], { cwd: at, env: { PATH: `${bin}:${process.env.PATH}` } })
  const made = readdirSync(at).filter((name) => name !== 'secrets')
  expect(Object.fromEntries(made.map((name) => [name, readFileSync(join(at, name), 'utf8')]))).toEqual(
    Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [
        `coditect-us-${name.toLowerCase().replaceAll('_', '-')}`,
        value,
      ]),
    ),
  )
})

test('on Lambda a new version of the secret is a change of the template’s', () => {
  const refs = Object.values<Manifest>(functionOf.Environment.Variables)
    .map((value) => value['Fn::Sub'])
    .filter((value) => value !== undefined)
  expect(refs).toHaveLength(Object.keys(secrets.us ?? {}).length + 1)
  for (const ref of refs) {
    expect(ref).toMatch(
      /^\{\{resolve:secretsmanager:\$\{SecretId\}:SecretString:\w+::\$\{SecretVersion\}\}\}$/,
    )
  }
  expect(Object.keys(template.Parameters)).toEqual(expect.arrayContaining(['SecretId', 'SecretVersion']))
})

test('the edge starts with what compose gives it', async () => {
  const { environment } = compose.services.edge
  const config = await readBindings({ ...environment, ...secrets.edge })
  expect(config.regions.get('us')?.instances.all).toHaveLength(2)
})

test('manifests fit the schemas of Kubernetes, KEDA and Knative', () => {
  const pieces = [
    new ConfigMap(configMap),
    new Deployment(deployment),
    new Service(service),
    new PodDisruptionBudget(budget),
    new Ingress(ingress),
    new HorizontalPodAutoscaler(autoscaler),
    new ScaledObject(keda),
    new KnativeService(cloudRun),
  ]
  for (const piece of pieces) expect(() => piece.validate()).not.toThrow()
  expect(() => new Deployment({ ...deployment, spec: { template: 'none' } }).validate()).toThrow()
})

test('autoscalers go by signals that a region gives', async () => {
  const metrics = await (await fetch(`${region.urls[0]}/metrics`)).text()
  const names = [
    ...keda.spec.triggers.flatMap(({ metadata }: Manifest) => metadata.query.match(/coditect_\w+/g)),
    ...autoscaler.spec.metrics.flatMap(({ pods }: Manifest) => pods?.metric.name ?? []),
  ]
  expect(names.length).toBeGreaterThan(3)
  for (const name of names) expect(metrics).toMatch(new RegExp(`^# TYPE ${name} gauge$`, 'm'))
  expect(keda.spec.scaleTargetRef.name).toBe(deployment.metadata.name)
})

test('while nobody can tell how busy a region is, it does not shrink', () => {
  expect(keda.spec.fallback.behavior).toBe('currentReplicasIfHigher')
  expect(keda.spec.fallback.replicas).toBeGreaterThan(keda.spec.minReplicaCount)
  // That Prometheus knows of no instance is no answer, either, and not that they are idle.
  const ignored = keda.spec.triggers.map(({ metadata }: Manifest) => metadata.ignoreNullValues)
  expect(ignored).toEqual(['false', 'false'])
})

test('on Cloud Run it is processor time that scales a region, and no tenant’s tails fill its instances', () => {
  const { annotations } = cloudRun.spec.template.metadata
  expect(annotations['run.googleapis.com/scaling-cpu-target']).toBe('0.8')
  expect(Number(annotations['autoscaling.knative.dev/minScale'])).toBeGreaterThan(1)
  const most = Math.max(...Object.values(PLANS).map(({ streams }) => streams))
  const places =
    cloudRun.spec.template.spec.containerConcurrency * annotations['autoscaling.knative.dev/maxScale']
  expect(places).toBeGreaterThan(4 * most)
})

test('on Cloud Run Google lets the edge and other regions through, which have no token of Google’s', () => {
  expect(cloudRun.metadata.annotations['run.googleapis.com/invoker-iam-disabled']).toBe('true')
})

test('the ingress lets through all that the edge and other regions ask, and no metrics', async () => {
  const paths: Array<{ path: string }> = ingress.spec.rules[0].http.paths
  const own = ['/metrics', '/readyz', '/*']
  const routes = (await region.app()).routes.map(({ path }) => path).filter((path) => !own.includes(path))
  expect(routes.length).toBeGreaterThan(30)
  const isOpen = (route: string) => paths.some(({ path }) => route === path || route.startsWith(`${path}/`))
  expect(routes.filter((route) => !isOpen(route))).toEqual([])
  expect(own.slice(0, 2).filter(isOpen)).toEqual([])
})

test('the ingress is that of the controller which its annotations are for', () => {
  for (const name of Object.keys(ingress.metadata.annotations))
    expect(name.split('.')[0]).toBe(ingress.spec.ingressClassName)
})

test('the ingress takes every body that the platform does', () => {
  const most: string = ingress.metadata.annotations['nginx.ingress.kubernetes.io/proxy-body-size']
  expect(Number.parseInt(most, 10) * 2 ** 20).toBeGreaterThan(MAX_BODY_BYTES)
})

test('the ingress takes the heads of all answers: as much as Node’s own client does', () => {
  const most: string = ingress.metadata.annotations['nginx.ingress.kubernetes.io/proxy-buffer-size']
  expect(most).toMatch(/^\d+k$/)
  expect(Number.parseInt(most, 10) * 2 ** 10).toBeGreaterThanOrEqual(maxHeaderSize)
})

test('what compose runs is started again, but for what is done once', () => {
  const restarts = Object.entries<Manifest>(compose.services).map(([name, { restart }]) => [name, restart])
  const again = 'unless-stopped'
  expect(Object.fromEntries(restarts)).toEqual({
    fdb: again,
    'fdb-configured': undefined,
    'us-a': again,
    'us-b': again,
    edge: again,
  })
})

test('an edge that is stopped does not wait for tails that are open, while it refuses everybody', () => {
  expect(Number.parseInt(compose.services.edge.stop_grace_period, 10)).toBeLessThanOrEqual(5)
  expect(text('workerd', 'coditect-edge.service')).toMatch(/^TimeoutStopSec=5$/m)
})

test('compose waits until the edge answers', async () => {
  const [, command = '[]'] = /^HEALTHCHECK [^[]*(\[.*\])$/m.exec(text('edge.Dockerfile')) ?? []
  const [bash = '', ...args]: string[] = JSON.parse(command)
  const healthy = (port: string) =>
    run(
      bash,
      args.map((arg) => arg.replace('8787', port)),
      { timeout: 5_000 },
    )
  await healthy(new URL(region.urls[0] ?? '').port)
  await expect(healthy('1')).rejects.toThrow()
})

test('compose waits until a fresh database is healthy, and gives up on one that never is', async () => {
  const script: string = compose.services['fdb-configured'].entrypoint.at(-1)
  const here = join(folder, 'compose')
  mkdirSync(here)
  writeFileSync(join(here, 'fdb.cluster'), 'coditect:local@172.28.0.10:4500')
  /** Fewer looks at the database's status than `healthyAt` are in vain. */
  const configured = (healthyAt: number) => {
    const asked = join(here, `asked-${healthyAt}`)
    const stand = (name: string, text: string) =>
      writeFileSync(join(here, name), `#!/bin/bash\n${text}\n`, { mode: 0o755 })
    stand('sleep', '')
    stand(
      'fdbcli',
      `[[ $4 == status ]] || exit 1; echo >> ${asked}; (( $(wc -l < ${asked}) < ${healthyAt} )) || echo Healthy`,
    )
    const own = script.replaceAll('/cluster/', `${here}/`).replaceAll('$$', '$')
    return run('bash', ['-c', own], { env: { PATH: `${here}:${process.env.PATH}` } })
  }
  await configured(4)
  await expect(configured(1_000)).rejects.toMatchObject({ code: 1 })
})

test('in Kubernetes overload takes no instance out of the Service, and a database that is away ends none', async () => {
  const { startupProbe, readinessProbe, livenessProbe } = deployment.spec.template.spec.containers[0]
  expect(readinessProbe.httpGet.path).toBe('/readyz?exclude=overloaded')
  expect([startupProbe, livenessProbe].map(({ httpGet }) => httpGet.path)).toEqual(['/healthz', '/healthz'])
  for (const { httpGet } of [startupProbe, readinessProbe]) {
    expect((await fetch(region.urls[0] + httpGet.path)).status).toBe(200)
  }
})

test('Lambda cuts off no work that a region would let go on', () => {
  expect(functionOf.Timeout * 1_000).toBeGreaterThan(RUN_MS + SETTLE_MS)
})

test('whoever ends an instance leaves it the time to drain', () => {
  const { terminationGracePeriodSeconds, containers } = deployment.spec.template.spec
  const drainSeconds = Number(configMap.data.DRAIN_MS) / 1_000
  const noticeSeconds = containers[0].lifecycle.preStop.sleep.seconds
  expect(terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + noticeSeconds)
  expect(Number.parseInt(compose.services['us-a'].stop_grace_period, 10)).toBeGreaterThan(10)
  expect(Number(settingsIn['Cloud Run']?.DRAIN_MS)).toBeLessThan(10_000)
})

/** What a Dockerfile copies of the repository. */
const copiedBy = (...path: string[]): string[] =>
  [...text(...path).matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, sources = '']) => sources.split(' '))

test.each([
  ['Dockerfile', join('regional', 'server.ts')],
  [join('lambda', 'Dockerfile'), join('deploy', 'lambda', 'index.mjs')],
])('%s copies every file that is loaded, and installs every package', async (dockerfile, entry) => {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
  })
  const copied = copiedBy(dockerfile)
  const files = Object.keys(metafile.inputs)
  expect(files.length).toBeGreaterThan(100)
  expect(
    files.filter((file) => !copied.some((path) => file === path || file.startsWith(`${path}/`))),
  ).toEqual([])
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const packages = Object.values(metafile.inputs)
    .flatMap(({ imports }) => imports)
    .filter(({ path, external }) => external === true && !path.startsWith('node:'))
    .map(({ path }) =>
      path
        .split('/')
        .slice(0, path.startsWith('@') ? 2 : 1)
        .join('/'),
    )
  expect(packages.length).toBeGreaterThan(10)
  expect([...new Set(packages)].filter((name) => dependencies[name] === undefined)).toEqual([])
})

test('the image of a region compiles it ahead, as the user that runs it: Node looks at what that one compiled alone', async () => {
  const lines = text('Dockerfile').split('\n')
  const at = (start: string) => lines.findIndex((line) => line.startsWith(start))
  const [compile, user] = [at('RUN node '), at('USER ')]
  expect(lines.filter((line) => line.startsWith('USER '))).toEqual(['USER node'])
  expect(user).toBeLessThan(compile)
  const [, where] =
    /^ENV NODE_COMPILE_CACHE=\/app\/(\S+)$/.exec(lines[at('ENV NODE_COMPILE_CACHE=')] ?? '') ?? []
  expect(lines.slice(0, user)).toContain(`RUN mkdir ${where} && chown node ${where}`)
  // That user's number in Node's own image.
  expect(deployment.spec.template.spec.securityContext.runAsUser).toBe(1000)
  const compiled = join(folder, 'compiled')
  await run('/bin/sh', ['-c', lines[compile]?.replace('RUN ', '') ?? ''], {
    cwd: ROOT,
    env: { ...process.env, NODE_COMPILE_CACHE: compiled },
  })
  expect(readdirSync(compiled, { recursive: true }).length).toBeGreaterThan(100)
  const [own = ''] = readdirSync(compiled)
  expect(own).toMatch(new RegExp(`-${process.getuid?.()}$`))
})

test('the image of the edge can be built from what its Dockerfile copies', async () => {
  const context = join(folder, 'context')
  for (const path of copiedBy('edge.Dockerfile')) {
    cpSync(join(ROOT, path), join(context, path), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(context, 'node_modules'))
  const { stdout } = await run(process.execPath, ['deploy/workerd/build.ts', 'out'], { cwd: context })
  expect(stdout.trim()).toBe(join('out', 'workerd.capnp'))
  const config = readFileSync(join(context, 'out', 'workerd.capnp'), 'utf8')
  // workerd ends at once where it is to trust the system's certificates and there are none: slim images have none.
  expect(config).toContain('trustBrowserCas = true')
  const final =
    text('edge.Dockerfile')
      .split(/^FROM /m)
      .at(-1) ?? ''
  expect(final).toMatch(/^debian:/)
  const [installed = ''] = /apt-get install [^&]*/.exec(final) ?? []
  expect(installed.split(/\s+/)).toContain('ca-certificates')
  expect(final.indexOf(installed)).toBeLessThan(final.indexOf('USER'))
})
