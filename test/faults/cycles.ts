// Cycles in a graph of dependencies: strongly connected components (Tarjan, 1972), and in one of them a short cycle
// that a person can read. Iterative, since histories are long.

export interface Edge<L> {
  to: number
  label: L
}
export type Graph<L> = ReadonlyArray<ReadonlyArray<Edge<L>>>

/** Components of more than one node: those with a cycle in them. No node has an edge to itself. */
export function cyclicComponents<L>(graph: Graph<L>): number[][] {
  const index = new Int32Array(graph.length).fill(-1)
  const low = new Int32Array(graph.length)
  const onStack = new Uint8Array(graph.length)
  const nextEdge = new Int32Array(graph.length)
  const stack: number[] = []
  const found: number[][] = []
  let visited = 0
  for (let root = 0; root < graph.length; root++) {
    if (index[root] !== -1) continue
    const path = [root]
    while (path.length > 0) {
      const node = path.at(-1) as number
      if (index[node] === -1) {
        index[node] = low[node] = visited++
        stack.push(node)
        onStack[node] = 1
      }
      const position = nextEdge[node] ?? 0
      nextEdge[node] = position + 1
      const edge = graph[node]?.[position]
      if (edge !== undefined) {
        if (index[edge.to] === -1) path.push(edge.to)
        else if (onStack[edge.to]) low[node] = Math.min(low[node] as number, index[edge.to] as number)
        continue
      }
      path.pop()
      const parent = path.at(-1)
      if (parent !== undefined) low[parent] = Math.min(low[parent] as number, low[node] as number)
      if (low[node] !== index[node]) continue
      const component = stack.splice(stack.lastIndexOf(node))
      for (const each of component) onStack[each] = 0
      if (component.length > 1) found.push(component)
    }
  }
  return found
}

/** A shortest cycle through a component's first node: its edges in order, each with the node that it leaves. */
export function shortCycle<L>(
  graph: Graph<L>,
  component: ReadonlyArray<number>,
): Array<{ from: number; label: L; to: number }> {
  const inside = new Set(component)
  const [start] = component
  if (start === undefined) return []
  const cameBy = new Map<number, { from: number; label: L; to: number }>()
  const queue = [start]
  for (const from of queue) {
    for (const { to, label } of graph[from] ?? []) {
      if (!inside.has(to) || cameBy.has(to)) continue
      cameBy.set(to, { from, label, to })
      queue.push(to)
    }
    if (cameBy.has(start)) break
  }
  const cycle: Array<{ from: number; label: L; to: number }> = []
  for (let step = cameBy.get(start); step !== undefined; step = cameBy.get(step.from)) {
    cycle.unshift(step)
    if (step.from === start) break
  }
  return cycle
}
