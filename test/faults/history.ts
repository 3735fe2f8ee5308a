// A history of transactions over append-only lists, as Elle's list-append workload records it: every appended value is
// unique, so a list that was read tells whose appends it held and in which order they came.
// Kingsbury, Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 14 (2020).

export type Operation =
  | { kind: 'append'; key: string; value: number }
  /** `values`: the list as it was read, own appends included. */
  | { kind: 'read'; key: string; values: ReadonlyArray<number> }

export interface RecordedTransaction {
  id: number
  /** In the order of the transaction. Reads of an unknown one were perhaps another attempt's, so they are left out. */
  operations: ReadonlyArray<Operation>
  /** `aborted`: surely without effect. `unknown`: perhaps with all of it, perhaps with none. */
  outcome: 'committed' | 'aborted' | 'unknown'
  /** Places in the one order of events: when it was begun, and when its outcome was known. */
  begunAt: number
  endedAt: number
}

export interface History {
  transactions: ReadonlyArray<RecordedTransaction>
  /** Every list as it was in the end. */
  final: ReadonlyMap<string, ReadonlyArray<number>>
}
