// What a region counts, in Prometheus' text format at /metrics. Every label has a bounded number of values: tenants are
// named by number, only the largest, and all others are `other`.
import { performance } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { EdgeCounted } from '../shared/edge_counts.ts'
import { PROBLEMS, type ProblemCode } from '../shared/problems.ts'
import type { TenantNumber } from '../shared/tenant.ts'
import { edgeDecisions } from './observe/edge_decisions.ts'
import { TENANT_CLASSES } from './observe/request.ts'
import { TopTenants } from './observe/top_tenants.ts'
import { wholeCounter } from './observe/whole_counter.ts'

/** Tenants with a label of their own. */
const TENANT_LABELS = 20

/** Seconds. The goal is 0.1; below it fine enough to see a stage move. */
const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Regions send nobody elsewhere. */
const STATUSES = ['2xx', '4xx', '5xx']
const FAILURES = (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) => PROBLEMS[code].status >= 500)

export type StepOutcome = 'done' | 'failed' | 'stopped' | 'unknown_kind'

export interface Metrics {
  /** In Prometheus' text format: the region's own, and the process's. */
  text(): Promise<string>
  readonly contentType: string
  /** A fence refused a call: a bug or an attack. */
  isolationViolated(): void
  /** Of traces. */
  spansLost: Counter
  logLinesLost: Counter
  /** An edge tells what it decided without asking a region. */
  edgeDecided(counted: EdgeCounted): void
  requests: Histogram<'class' | 'status'>
  stages: Histogram<'stage'>
  inFlight: Gauge
  problems: Counter<'code'>
  retries: Counter
  jobSteps: Histogram<'kind' | 'outcome'>
  webhookAttempts: Counter<'outcome'>
  modelCalls: Counter<'model' | 'outcome'>
  /** A tenant used so many request units, for so many new requests: none where one goes on. */
  used(tenant: TenantNumber, requests: number, units: number): void
  /** Gives out anew which tenants are named. */
  renameTenants(): void
  /** Asks `read` for a number with every scrape. */
  watch(name: `coditect_${string}`, help: string, read: () => number): void
}

/** @param all the platform's regions */
export function regionMetrics(region: string, all: ReadonlyArray<string>): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ region })
  const registers = [registry]
  const tenantRequests = new Counter({
    name: 'coditect_tenant_requests_total',
    help: 'Requests of the tenants that use the most, by number, and of all others.',
    labelNames: ['tenant'],
    registers,
  })
  const tenantUnits = new Counter({
    name: 'coditect_tenant_units_total',
    help: 'Request units of the tenants that use the most, by number, and of all others.',
    labelNames: ['tenant'],
    registers,
  })
  const top = new TopTenants(TENANT_LABELS)
  const decisions = edgeDecisions(registers, all)
  const violations = wholeCounter(
    {
      name: 'coditect_isolation_violations_total',
      help: 'Calls that a fence refused because they would have left their tenant.',
      registers,
    },
    [{}],
  )
  const requests = new Histogram({
    name: 'coditect_request_duration_seconds',
    help: 'From the request’s head to the answer’s head.',
    labelNames: ['class', 'status'],
    buckets: LATENCY_BUCKETS,
    registers,
  })
  const problems = new Counter({
    name: 'coditect_problems_total',
    help: 'Requests answered with a problem, by its code.',
    labelNames: ['code'],
    registers,
  })
  // Prometheus sees no increase in a series' first value: those that alerts go by are there before anything fails.
  for (const kind of TENANT_CLASSES) for (const status of STATUSES) requests.zero({ class: kind, status })
  for (const code of FAILURES) problems.inc({ code }, 0)
  return {
    contentType: registry.contentType,
    text: async () => (await registry.metrics()) + (await processMetrics().metrics()),
    isolationViolated: () => violations.inc({}),
    spansLost: new Counter({
      name: 'coditect_spans_lost_total',
      help: 'Spans of traces that could not be exported.',
      registers,
    }),
    logLinesLost: new Counter({
      name: 'coditect_log_lines_lost_total',
      help: 'Lines of the log that standard output had no room for.',
      registers,
    }),
    edgeDecided: ({ count, ...what }) => decisions.inc(what, count),
    requests,
    stages: new Histogram({
      name: 'coditect_stage_duration_seconds',
      help: 'Of the stages of a request. Those from admit on are parts of transaction.',
      labelNames: ['stage'],
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    inFlight: new Gauge({
      name: 'coditect_requests_in_flight',
      help: 'Requests that were not yet answered, open streams included.',
      registers,
    }),
    problems,
    retries: new Counter({
      name: 'coditect_transaction_retries_total',
      help: 'Transactions of requests that were tried again, each time: others changed the same data, or the database did not answer in time.',
      registers,
    }),
    jobSteps: new Histogram({
      name: 'coditect_job_step_duration_seconds',
      help: 'Steps of jobs, by kind and by what became of them.',
      labelNames: ['kind', 'outcome'],
      buckets: LATENCY_BUCKETS,
      registers,
    }),
    webhookAttempts: new Counter({
      name: 'coditect_webhook_attempts_total',
      help: 'Attempts to deliver an event to an endpoint, by what came of them.',
      labelNames: ['outcome'],
      registers,
    }),
    modelCalls: new Counter({
      name: 'coditect_model_calls_total',
      help: 'Calls of the models’ servers, by what came of them.',
      labelNames: ['model', 'outcome'],
      registers,
    }),
    used(number, requests, units) {
      const tenant = top.note(number, units)
      tenantRequests.inc({ tenant }, requests)
      tenantUnits.inc({ tenant }, units)
    },
    renameTenants() {
      for (const tenant of top.round()) {
        tenantRequests.remove({ tenant })
        tenantUnits.remove({ tenant })
      }
    },
    watch(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    },
  }
}

let ofProcess: Registry | undefined

/** What belongs to the process, however many regions are in it: memory, garbage collection, delay of the event loop. */
function processMetrics(): Registry {
  if (ofProcess !== undefined) return ofProcess
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  new Counter({
    name: 'coditect_event_loop_active_seconds_total',
    help: 'Time that the event loop was at work: its rate is the utilisation, from 0 to 1.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(performance.eventLoopUtilization().active / 1_000)
    },
  })
  ofProcess = registry
  return registry
}
