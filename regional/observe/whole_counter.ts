// A counter of which Prometheus sees every increase. That sees one only in a series of which it has seen less: so all series
// are there from the start, at 0, and what is counted before anybody has read them is added then.
import { Counter, type CounterConfiguration, type LabelValues } from 'prom-client'

export interface WholeCounter<L extends string> {
  inc(labels: LabelValues<L>, count?: number): void
  /** To be called whenever the counter has been read. */
  wasRead(): Promise<void>
}

/** @param series all that there are */
export function wholeCounter<L extends string>(
  described: CounterConfiguration<L>,
  series: ReadonlyArray<LabelValues<L>>,
): WholeCounter<L> {
  const shown = new Counter(described)
  const early = new Counter({ ...described, registers: [] })
  for (const labels of series) shown.inc(labels, 0)
  let counter = early
  return {
    inc: (labels, count) => counter.inc(labels, count),
    async wasRead() {
      if (counter === shown) return
      counter = shown
      for (const { labels, value } of (await early.get()).values) shown.inc(labels, value)
    },
  }
}
