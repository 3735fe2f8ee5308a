// The rules that a deployment's Prometheus is given speak of metrics and labels that a region really has.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { jsonLog } from '../../regional/log.ts'
import { regionMetrics } from '../../regional/metrics.ts'
import { CALL_OUTCOMES } from '../../regional/models/gateway.ts'
import { CallWatch } from '../../regional/models/watch.ts'
import { CLASSES, STAGES, TENANT_CLASSES } from '../../regional/observe/request.ts'
import { EDGE_COUNTS_NAMES } from '../../shared/edge_counts.ts'
import { PROBLEMS } from '../../shared/problems.ts'
import { ROOT } from '../e2e/stack.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { testWith } from '../support/program.ts'

interface Rule {
  record?: string
  alert?: string
  expr: string
  annotations?: Record<string, string>
  labels?: { severity: string }
}

interface Cases {
  tests: Array<{ alert_rule_test?: Array<{ alertname: string; exp_alerts: unknown[] }> }>
}

interface Scrape {
  scrape_configs: Array<{
    job_name: string
    kubernetes_sd_configs: unknown[]
    relabel_configs: Array<{
      source_labels: string[]
      regex?: string
      target_label?: string
      action?: string
    }>
  }>
}

const textOf = (...path: string[]): string => readFileSync(join(ROOT, 'deploy', ...path), 'utf8')
const { groups } = parse(textOf('prometheus', 'rules.yaml')) as { groups: Array<{ rules: Rule[] }> }
const rules = groups.flatMap((group) => group.rules)
const alerts = rules.filter(({ alert }) => alert !== undefined)

let regions: Regions
let text: string
beforeAll(async () => {
  regions = await startRegions()
  await regions.newTenant('acme', 'us')
  text = await (await fetch(`${regions.url('us')}/metrics`)).text()
})
afterAll(() => regions.close())

/** Names of series, as a rule writes them. */
const namesIn = (expr: string): string[] => expr.match(/\b(?:coditect|nodejs|process)[_:][\w:]+/g) ?? []

test('every metric that a rule names is one of /metrics, or recorded by another rule', () => {
  const known = new Set(rules.flatMap(({ record }) => record ?? []))
  for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\w+)$/gm)) {
    if (type !== 'histogram') known.add(name)
    else for (const part of ['bucket', 'count', 'sum']) known.add(`${name}_${part}`)
  }
  const named = rules.flatMap(({ expr }) => namesIn(expr))
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((name) => !known.has(name))).toEqual([])
})

test('every value that a rule picks is one that its label can have', () => {
  const values: Record<string, ReadonlyArray<string>> = {
    class: CLASSES,
    stage: STAGES,
    code: Object.keys(PROBLEMS),
    decision: EDGE_COUNTS_NAMES,
    status: ['2xx', '3xx', '4xx', '5xx'],
    outcome: ['done', 'failed', 'stopped', 'unknown_kind', ...CALL_OUTCOMES],
    le: [...text.matchAll(/le="([^"]+)"/g)].map(([, bound = '']) => bound),
  }
  const picked = rules
    .flatMap(({ expr }) => [...expr.matchAll(/(\w+)=~?"([^"]*)"/g)])
    .filter(([, label]) => label !== 'job')
    .flatMap(([, label = '', each = '']) => each.split('|').map((value) => [label, value] as const))
  expect(picked.length).toBeGreaterThan(10)
  expect(picked.filter(([label, value]) => !values[label]?.includes(value))).toEqual([])
})

test('what a rule counts is there at 0 before it happens, or Prometheus would not see the first of it', async () => {
  const metrics = regionMetrics('us', ['us', 'eu'])
  metrics.isolationViolated()
  new CallWatch(
    metrics.modelCalls,
    jsonLog('us', () => {}),
    Date.now,
  ).know(new Set(['small']))
  const lines = (await metrics.text()).split('\n')
  const counted = rules.flatMap(({ expr }) => [
    ...expr.matchAll(/(?:rate|increase)\((coditect_(?!stage|job)\w+)(?:\{([^}]*)\})?\[/g),
  ])
  const missing = counted.flatMap(([, name = '', picked = '']) =>
    seriesOf(picked).filter((labels) => {
      const found = lines.filter(
        (line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)),
      )
      return found.length === 0 || !found.every((line) => line.endsWith(' 0'))
    }),
  )
  expect(counted.length).toBeGreaterThan(8)
  expect(missing).toEqual([])
  expect(lines.filter((line) => line.startsWith('coditect_request_duration')).length).toBeLessThan(300)
  const classes = rules.flatMap(({ expr }) =>
    /status="5xx"/.test(expr) ? (/class=~"([^"]*)"/.exec(expr)?.[1] ?? []) : [],
  )
  expect(classes).toEqual([TENANT_CLASSES.join('|')])
})

/** Of each series that a selector such as `class=~"read|write",status="5xx"` picks, its labels as /metrics writes them. */
function seriesOf(selector: string): string[][] {
  const labels = [...selector.matchAll(/(\w+)=~?"([^"]*)"/g)]
  return labels.reduce<string[][]>(
    (all, [, label, values = '']) =>
      all.flatMap((each) => values.split('|').map((value) => [...each, `${label}="${value}"`])),
    [[]],
  )
}

test('every alert says how urgent it is, in one sentence what is wrong, and docs/slo.md explains it', () => {
  const slo = readFileSync(join(ROOT, 'docs', 'slo.md'), 'utf8')
  for (const { alert, labels, annotations } of alerts) {
    expect(['page', 'ticket']).toContain(labels?.severity)
    expect(annotations?.summary).toMatch(/\.$|\?$/)
    expect(slo).toContain(`\`${alert}\``)
  }
})

test('of every alert there is a case in which it fires', () => {
  const { tests } = parse(textOf('prometheus', 'rules.test.yaml')) as Cases
  const firing = tests
    .flatMap(({ alert_rule_test: cases = [] }) => cases)
    .filter(({ exp_alerts: expected }) => expected.length > 0)
    .map(({ alertname }) => alertname)
  expect(alerts.length).toBeGreaterThan(10)
  expect(alerts.filter(({ alert }) => !firing.includes(alert ?? ''))).toEqual([])
})

const { scrape_configs: jobs } = parse(textOf('prometheus', 'scrape.yaml')) as Scrape

test('at fixed addresses each target says its region, under the name that rules go by', () => {
  const { scrape_configs: own } = parse(textOf('prometheus', 'scrape_static.yaml')) as {
    scrape_configs: Array<{ job_name: string; static_configs: Array<{ labels: { region: string } }> }>
  }
  expect(own.map(({ job_name: name }) => name)).toEqual(jobs.map(({ job_name: name }) => name))
  expect(own.flatMap(({ static_configs: each }) => each.map(({ labels }) => labels.region))).toEqual([
    'us',
    'eu',
  ])
})

test('in Kubernetes a region’s pods are found, by what they say of themselves, under the name that rules go by', () => {
  const [job] = jobs
  const down = alerts.find(({ alert }) => alert === 'InstanceDown')
  const [, named = ''] = /job=~"([^"]+)"/.exec(down?.expr ?? '') ?? []
  expect(job?.job_name).toMatch(new RegExp(`^(?:${named})$`))
  const deployment = parseAllDocuments(textOf('kubernetes', 'region.yaml'), { merge: true })
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'Deployment')
  const { metadata, spec } = deployment.spec.template
  const port = spec.containers[0].ports[0].name
  const labels = Object.entries<string>(metadata.labels).map(
    ([name, value]) => [`__meta_kubernetes_pod_label_${name.replace(/\W/g, '_')}`, value] as const,
  )
  const said = new Map([...labels, ['__meta_kubernetes_pod_container_port_name', port]])
  const [kept] = job?.relabel_configs.filter(({ action }) => action === 'keep') ?? []
  expect(kept?.source_labels.map((name) => said.get(name)).join(';')).toBe(kept?.regex)
  const region = job?.relabel_configs.find(({ target_label: label }) => label === 'region')
  expect(region?.source_labels.map((name) => said.get(name))).toEqual(['us'])
  // By these the usual metrics adapter finds the pod that an autoscaler asks for.
  const from = (label: string) =>
    job?.relabel_configs.find(({ target_label: target }) => target === label)?.source_labels
  expect([from('namespace'), from('pod')]).toEqual([
    ['__meta_kubernetes_namespace'],
    ['__meta_kubernetes_pod_name'],
  ])
  // What finds pods by annotation would find them a second time.
  expect(metadata.annotations).toBeUndefined()
})

// Debian and Ubuntu have promtool in the package `prometheus`.
testWith('promtool', 'the alerts fire when they should, and only then', async () => {
  const run = (...args: string[]) =>
    promisify(execFile)('promtool', args, { cwd: join(ROOT, 'deploy', 'prometheus') })
  await run('check', 'rules', 'rules.yaml')
  const { stdout } = await run('test', 'rules', 'rules.test.yaml')
  expect(stdout).toContain('SUCCESS')
})

testWith('promtool', 'Prometheus takes the job as a part of its configuration', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'coditect-prometheus-'))
  // Debian's promtool knows nothing of Kubernetes.
  const config = jobs.map(({ kubernetes_sd_configs: found, ...job }) => ({
    ...job,
    static_configs: found.map(() => ({ targets: [] })),
  }))
  writeFileSync(join(folder, 'prometheus.json'), JSON.stringify({ scrape_configs: config }))
  await promisify(execFile)('promtool', ['check', 'config', join(folder, 'prometheus.json')])
  rmSync(folder, { recursive: true })
})
