// What a request will cost, from what the same operation cost the same tenant before; for a tenant that has not asked it
// lately, from what it cost other tenants the first time. So one that asks for large things is charged for large things,
// and nobody else is.

/** How much the last measurement counts. */
const WEIGHT = 0.2
const FIRST_UNITS = 2
/** Of more tenants, those that have not asked for longest are forgotten. Operations are as many as are declared. */
const MAX_FLOWS = 2_048
const MAX_OPERATIONS = 1_024

export class Estimates<K> {
  private readonly flows = new Map<K, Map<string, number>>()
  private readonly usual = new Map<string, number>()

  /** In units. */
  of(flow: K, operation: string): number {
    return this.flows.get(flow)?.get(operation) ?? this.usual.get(operation) ?? FIRST_UNITS
  }

  measured(flow: K, operation: string, units: number): void {
    const own = this.flows.get(flow) ?? new Map<string, number>()
    const before = own.get(operation)
    if (before === undefined) {
      this.measure(this.usual, operation, units)
      this.makeLatest(flow, own)
    }
    this.measure(own, operation, units)
  }

  /** In the order of their last new operation: nearly the order of their last request, and free on the way. */
  private makeLatest(flow: K, own: Map<string, number>): void {
    this.flows.delete(flow)
    this.flows.set(flow, own)
    const [oldest] = this.flows.keys()
    if (this.flows.size > MAX_FLOWS && oldest !== undefined) this.flows.delete(oldest)
  }

  private measure(of: Map<string, number>, operation: string, units: number): void {
    const before = of.get(operation)
    if (before === undefined && of.size >= MAX_OPERATIONS) return
    of.set(operation, before === undefined ? units : before + (units - before) * WEIGHT)
  }
}
