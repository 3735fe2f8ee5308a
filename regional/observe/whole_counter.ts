// A counter of which Prometheus sees every increase. That sees one only in a series of which it has seen less: so the series that
// are known of are there from the start, at 0, any other from when it is first counted, and what is counted before anybody has
// read its series comes with the reading after that.
import { Counter, type CounterConfiguration, type LabelValues } from 'prom-client'

export interface WholeCounter<L extends string> {
  inc(labels: LabelValues<L>, count?: number): void
}

/** @param series those that are known of */
export function wholeCounter<L extends string>(
  described: CounterConfiguration<L>,
  series: ReadonlyArray<LabelValues<L>>,
): WholeCounter<L> {
  const { labelNames = [] } = described
  const keyOf = (labels: LabelValues<L>): string => labelNames.map((name) => labels[name] ?? '').join()
  /** Series that are there, and of those the ones that have been read. */
  const there = new Set<string>()
  const read = new Set<string>()
  const early = new Map<string, { labels: LabelValues<L>; count: number }>()
  const shown = new Counter({
    ...described,
    collect() {
      for (const [key, { labels, count }] of early) {
        if (!read.has(key)) continue
        this.inc(labels, count)
        early.delete(key)
      }
      for (const key of there) read.add(key)
    },
  })
  const begin = (labels: LabelValues<L>): void => {
    shown.inc(labels, 0)
    there.add(keyOf(labels))
  }
  for (const labels of series) begin(labels)
  return {
    inc(labels, count = 1) {
      const key = keyOf(labels)
      if (read.has(key)) return shown.inc(labels, count)
      begin(labels)
      early.set(key, { labels, count: count + (early.get(key)?.count ?? 0) })
    },
  }
}
