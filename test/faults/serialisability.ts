// Whether a history is strictly serialisable. First what needs no graph: appends lost, doubled or of aborted
// transactions, torn ones, lists that contradict each other. Then cycles of dependencies (Adya's G0, G1c, G-single and
// G2), and of dependencies with real time: what ended before another began must also come before it.
import { cyclicComponents, type Edge, shortCycle } from './cycles.ts'
import type { History, RecordedTransaction } from './history.ts'

/** ww: appended next. wr: read what was appended. rw: read before it was appended. time: ended before it began. */
type Dependency = 'ww' | 'wr' | 'rw' | 'time'

/** Every sentence is an anomaly. */
export function serialisabilityAnomalies(history: History): string[] {
  const found = [...finalAnomalies(history), ...readAnomalies(history)]
  // With contradictory lists there is no order to take dependencies from.
  return found.length > 0 ? found : cycleAnomalies(history)
}

const appendsOf = ({ operations }: RecordedTransaction) =>
  operations.filter((operation) => operation.kind === 'append')

function writers({ transactions }: History): Map<number, RecordedTransaction> {
  return new Map(transactions.flatMap((each) => appendsOf(each).map(({ value }) => [value, each] as const)))
}

/** Exactly once when committed, never when aborted, all or nothing when unknown. */
function finalAnomalies({ transactions, final }: History): string[] {
  const times = new Map<number, number>()
  for (const value of [...final.values()].flat()) times.set(value, (times.get(value) ?? 0) + 1)
  return transactions.flatMap((transaction) => {
    const { id, outcome } = transaction
    const counts = appendsOf(transaction).map(({ value }) => times.get(value) ?? 0)
    const found: string[] = []
    if (counts.some((count) => count > 1)) found.push(`T${id} was applied more than once`)
    if (outcome === 'committed' && counts.includes(0)) found.push(`T${id} was committed and is lost`)
    if (outcome === 'aborted' && counts.some((count) => count > 0))
      found.push(`T${id} was aborted and is there`)
    if (outcome === 'unknown' && new Set(counts).size > 1) found.push(`T${id} is there in part`)
    return found
  })
}

/** Every list that was read is a beginning of the final one, and ends between two transactions. */
function readAnomalies(history: History): string[] {
  const writerOf = writers(history)
  const found: string[] = []
  for (const { id, operations } of history.transactions) {
    const own = new Map<string, number[]>()
    for (const operation of operations) {
      const { key } = operation
      const appended = own.get(key) ?? []
      own.set(key, appended)
      if (operation.kind === 'append') {
        appended.push(operation.value)
        continue
      }
      const { values } = operation
      const before = values.slice(0, values.length - appended.length)
      const final = history.final.get(key) ?? []
      if (!appended.every((value, i) => value === values[before.length + i]))
        found.push(`T${id} does not see what it appended to ${key} itself`)
      const aborted = values.map((value) => writerOf.get(value)).find((each) => each?.outcome === 'aborted')
      if (aborted !== undefined) found.push(`G1a: T${id} read an append of T${aborted.id}, which was aborted`)
      if (!before.every((value, i) => value === final[i]))
        found.push(`T${id} read ${key} as it never was: ${before}, in the end ${final}`)
      const last = writerOf.get(before.at(-1) ?? -1)
      if (last !== undefined && last === writerOf.get(final[before.length] ?? -1) && last.id !== id)
        found.push(`G1b: T${id} read ${key} in the middle of T${last.id}`)
    }
  }
  return found
}

function cycleAnomalies(history: History): string[] {
  const edges = dependencies(history)
  const levels: Array<ReadonlySet<Dependency>> = [
    new Set(['ww'] as const),
    new Set(['ww', 'wr'] as const),
    new Set(['ww', 'wr', 'rw'] as const),
    new Set(['ww', 'wr', 'rw', 'time'] as const),
  ]
  const transactions = history.transactions.length
  const nameOf = (node: number) => (node < transactions ? `T${history.transactions[node]?.id}` : 'time')
  for (const level of levels) {
    const graph = edges.map((out) => out.filter(({ label }) => level.has(label)))
    const components = cyclicComponents(graph)
    if (components.length === 0) continue
    return components.map((component) => {
      const cycle = shortCycle(graph, component)
      const labels = cycle.map(({ label }) => label)
      const steps = cycle.map(({ from, label }) => `${nameOf(from)} -${label}-> `).join('')
      return `${classOf(labels)}: ${steps}${nameOf(cycle[0]?.from ?? 0)}`
    })
  }
  return []
}

function classOf(labels: ReadonlyArray<Dependency>): string {
  const antiDependencies = labels.filter((label) => label === 'rw').length
  if (labels.includes('time')) return 'not in the order of real time'
  if (antiDependencies === 1) return 'G-single'
  if (antiDependencies > 1) return 'G2'
  return labels.includes('wr') ? 'G1c' : 'G0'
}

/** Nodes: the transactions, then a chain of all events, which stands for real time with few edges. */
function dependencies(history: History): Edge<Dependency>[][] {
  const { transactions, final } = history
  const nodeOf = new Map(transactions.map(({ id }, node) => [id, node]))
  const writerOf = writers(history)
  const writerNode = (value: number | undefined) => nodeOf.get(writerOf.get(value ?? -1)?.id ?? Number.NaN)
  const ended = Math.max(0, ...transactions.map(({ endedAt }) => endedAt).filter(Number.isFinite))
  const graph: Edge<Dependency>[][] = Array.from({ length: transactions.length + ended + 2 }, () => [])
  const add = (from: number | undefined, to: number | undefined, label: Dependency) => {
    if (from !== undefined && to !== undefined && from !== to) graph[from]?.push({ to, label })
  }
  for (const values of final.values()) {
    for (let i = 1; i < values.length; i++) add(writerNode(values[i - 1]), writerNode(values[i]), 'ww')
  }
  transactions.forEach(({ operations, begunAt, endedAt, outcome }, node) => {
    if (outcome === 'aborted') return
    const seen = new Set<string>()
    for (const operation of operations) {
      const { key } = operation
      // Behind an own append a read says no more than the append does.
      if (operation.kind === 'read' && !seen.has(key)) {
        add(writerNode(operation.values.at(-1)), node, 'wr')
        add(node, writerNode(final.get(key)?.[operation.values.length]), 'rw')
      }
      if (operation.kind === 'append') seen.add(key)
    }
    add(transactions.length + begunAt, node, 'time')
    if (outcome === 'committed') add(node, transactions.length + endedAt, 'time')
  })
  for (let event = 0; event < ended; event++)
    add(transactions.length + event, transactions.length + event + 1, 'time')
  return graph
}
