// The rules that a deployment's Prometheus is given speak of metrics and labels that a region really has.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { CLASSES, STAGES } from '../../regional/observe/request.ts'
import { EDGE_COUNTS_NAMES } from '../../shared/edge_counts.ts'
import { PROBLEMS } from '../../shared/problems.ts'
import { ROOT } from '../e2e/stack.ts'
import { type Regions, startRegions } from '../regional/support.ts'

interface Rule {
  record?: string
  alert?: string
  expr: string
  annotations?: Record<string, string>
  labels?: { severity: string }
}

const file = join(ROOT, 'deploy', 'prometheus', 'rules.yaml')
const { groups } = parse(readFileSync(file, 'utf8')) as { groups: Array<{ rules: Rule[] }> }
const rules = groups.flatMap((group) => group.rules)

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
    outcome: ['done', 'failed', 'stopped', 'unknown_kind'],
    le: [...text.matchAll(/le="([^"]+)"/g)].map(([, bound = '']) => bound),
  }
  const picked = rules
    .flatMap(({ expr }) => [...expr.matchAll(/(\w+)=~?"([^"]*)"/g)])
    .filter(([, label]) => label !== 'job')
    .flatMap(([, label = '', each = '']) => each.split('|').map((value) => [label, value] as const))
  expect(picked.length).toBeGreaterThan(10)
  expect(picked.filter(([label, value]) => !values[label]?.includes(value))).toEqual([])
})

test('every alert says how urgent it is, in one sentence what is wrong, and docs/slo.md explains it', () => {
  const slo = readFileSync(join(ROOT, 'docs', 'slo.md'), 'utf8')
  for (const { alert, labels, annotations } of rules.filter((rule) => rule.alert !== undefined)) {
    expect(['page', 'ticket']).toContain(labels?.severity)
    expect(annotations?.summary).toMatch(/\.$|\?$/)
    expect(slo).toContain(`\`${alert}\``)
  }
})

/** Debian: `apt-get install prometheus`. */
const hasPromtool = await promisify(execFile)('promtool', ['--version']).then(
  () => true,
  () => false,
)

test.runIf(hasPromtool)('the alerts fire when they should, and only then', async () => {
  const run = (...args: string[]) =>
    promisify(execFile)('promtool', args, { cwd: join(ROOT, 'deploy', 'prometheus') })
  await run('check', 'rules', 'rules.yaml')
  const { stdout } = await run('test', 'rules', 'rules.test.yaml')
  expect(stdout).toContain('SUCCESS')
})
