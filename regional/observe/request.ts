// What a region notes of one request while it is answered: whose it is, what it costs, how long each stage takes. The
// note goes with the request through every `await` (AsyncLocalStorage), so that no stage has to be handed it, and work
// in the background has none. Nothing that a client wrote gets in here but what has a bounded shape.
import { AsyncLocalStorage } from 'node:async_hooks'
import { type Id, newId } from '../../shared/ids.ts'
import type { ProblemCode } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { TraceParent } from '../../shared/trace.ts'

/**
 * Stages, in the order of a request: the assertion; waiting for a turn; the body; all transactions, and in them the
 * credential, the service's own work and the commit. Those of attempts that failed are added up.
 */
export const STAGES = ['verify', 'queue', 'receive', 'transaction', 'admit', 'work', 'commit'] as const
export type Stage = (typeof STAGES)[number]

/** What tenants ask, of which objectives are (docs/slo.md). */
export const TENANT_CLASSES = ['read', 'sensitive', 'write', 'stream', 'outside'] as const
/** What kind of request it is, for those who watch many: `region` and `edge` are asked by no client. */
export const CLASSES = [...TENANT_CLASSES, 'operator', 'region', 'edge', 'none'] as const
export type OperationClass = (typeof CLASSES)[number]

/** A part of a trace; see `tracing.ts`. */
export interface Span {
  /** 16 hexadecimal digits. */
  readonly id: string
  child(name: string): Span
  /** @param attributes numbers and words of ours */
  end(attributes?: Readonly<Record<string, string | number | boolean>>, failed?: boolean): void
}

/** The span of a request in the region. */
export interface RequestSpan extends Span {
  /** The edge asks another instance, whose answer will tell of the edge's own span. */
  goesOnElsewhere(): void
}

export class RequestNote {
  class: OperationClass = 'none'
  /** As declared, such as `/v1/projects/{id}`: what the client wrote in its place stays out. */
  route: string | undefined
  tenant: TenantNumber | undefined
  /** The kind of credential. */
  principal: string | undefined
  /** The operator's id, where one asks. */
  operator: string | undefined
  /** Of a problem that was answered, in the body alone where the head was out before. */
  problem: ProblemCode | undefined
  /** Why it was not believed to have come through the edge, or not to have come in time, in words of ours. */
  why: string | undefined
  /** Another instance, with other keys or another clock, may well believe it. */
  isNoAnswer = false
  /** Why a stream ended that did not fail. */
  stopped: ProblemCode | undefined
  /** Request units. */
  units = 0
  /** Milliseconds in which the process did nothing else for it, and that are not counted among its units yet. */
  busyMs = 0
  /** Attempts of transactions beyond the first of each. */
  retries = 0
  /** Milliseconds. */
  readonly stages: Partial<Record<Stage, number>> = {}
  readonly startedAt: number
  readonly trace: TraceParent | undefined
  /** Of all of it. Undefined where nothing is traced. */
  readonly span: RequestSpan | undefined
  private ownId: Id<'req'> | undefined
  private assertedId: string | undefined

  constructor(startedAt: number, trace?: TraceParent, span?: RequestSpan) {
    this.startedAt = startedAt
    this.trace = trace
    this.span = span
  }

  /** The edge's id of it; what did not come through the edge gets one of its own. */
  get requestId(): string {
    if (this.assertedId !== undefined) return this.assertedId
    this.ownId ??= newId('req')
    return this.ownId
  }

  asserted(requestId: string): void {
    this.assertedId = requestId
  }

  took(stage: Stage, ms: number): void {
    this.stages[stage] = (this.stages[stage] ?? 0) + ms
  }
}

/** What goes on side by side in one request has one note, and each its own span. */
interface Part {
  note: RequestNote
  /** Of the stage that it is in, otherwise of the request. */
  span: Span | undefined
}

const current = new AsyncLocalStorage<Part>()

/** Runs `work` as a part of this request. */
export const during = <T>(note: RequestNote, work: () => T): T => current.run({ note, span: note.span }, work)

/** The request that this is a part of; undefined in the background. */
export const noted = (): RequestNote | undefined => current.getStore()?.note

/** The trace of the present request, as whoever it asks is to go on with it. */
export function ongoingTrace(): TraceParent | undefined {
  const { note, span } = current.getStore() ?? {}
  return note?.trace && span ? { ...note.trace, spanId: span.id } : note?.trace
}

/** Adds to what the present request costs, in request units. */
export function noteUnits(units: number): void {
  const note = noted()
  if (note !== undefined) note.units += units
}

/** The process did nothing else for so long, for the present request: what it costs is to show that. */
export function noteBusy(ms: number): void {
  const note = noted()
  if (note !== undefined) note.busyMs += ms
}

/** What was noted so since the last time. */
export function takeBusyMs(): number {
  const note = noted()
  if (note === undefined) return 0
  const { busyMs } = note
  note.busyMs = 0
  return busyMs
}

/** As {@link timed}, for a stage that waits for nothing. */
export function timedNow<T>(stage: Stage, work: () => T): T {
  const part = current.getStore()
  const from = performance.now()
  const span = part?.span?.child(stage)
  let failed = true
  try {
    const value = work()
    failed = false
    return value
  } finally {
    part?.note.took(stage, performance.now() - from)
    span?.end({}, failed)
  }
}

/** Runs a stage of the present request, if there is one, and adds its time to the request's note. */
export async function timed<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
  const part = current.getStore()
  if (part === undefined) return work()
  const { note } = part
  const from = performance.now()
  const span = part.span?.child(stage)
  let failed = true
  try {
    const value = await (span === undefined ? work() : current.run({ note, span }, work))
    failed = false
    return value
  } finally {
    note.took(stage, performance.now() - from)
    span?.end({}, failed)
  }
}
