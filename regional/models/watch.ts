// What the operator is told of the models' servers: every call is counted by its outcome, and one that failed leaves a line in
// the log, which a model that is broken does not fill. Never what was asked or answered.
import type { Counter } from 'prom-client'
import type { Log } from '../log.ts'
import { CALL_OUTCOMES, type Called, type CallOutcome } from './gateway.ts'

/** For each model and outcome one line at most. */
const TOLD_EVERY_MS = 60_000

export class CallWatch {
  private readonly calls: Counter<'model' | 'outcome'>
  private readonly log: Log
  private readonly now: () => number
  private known: ReadonlySet<string> = new Set()
  /** When there was a line last, by model and outcome. */
  private readonly told = new Map<string, Map<CallOutcome, number>>()

  constructor(calls: Counter<'model' | 'outcome'>, log: Log, now: () => number) {
    this.calls = calls
    this.log = log
    this.now = now
  }

  /**
   * The models that there are. Each has all its series from its beginning, since Prometheus sees no increase in a first value,
   * and none after its end, so that they are as many as there are models.
   */
  know(models: ReadonlySet<string>): void {
    for (const model of this.known) if (!models.has(model)) this.forget(model)
    for (const model of models)
      if (!this.known.has(model)) for (const outcome of CALL_OUTCOMES) this.calls.inc({ model, outcome }, 0)
    this.known = models
  }

  called(model: string, { outcome, refusedWith }: Pick<Called, 'outcome' | 'refusedWith'>): void {
    // It was taken away while the call went on.
    if (!this.known.has(model)) return
    this.calls.inc({ model, outcome })
    if (outcome === 'succeeded' || outcome === 'cancelled') return
    const told = this.told.get(model) ?? new Map<CallOutcome, number>()
    const at = this.now()
    if (at - (told.get(outcome) ?? Number.NEGATIVE_INFINITY) < TOLD_EVERY_MS) return
    this.told.set(model, told.set(outcome, at))
    this.log.error('a call of a model failed', { model, outcome, status: refusedWith ?? undefined })
  }

  private forget(model: string): void {
    for (const outcome of CALL_OUTCOMES) this.calls.remove({ model, outcome })
    this.told.delete(model)
  }
}
