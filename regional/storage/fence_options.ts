// The transaction options and atomic operations that the fence lets through. Allow-lists, so that whatever
// a later FoundationDB adds is refused until somebody has thought about it.

/**
 * Left out on purpose: system keys and raw access (300–303), special keys (712–714), locks (700, 702),
 * unreadable keys (1100), authorization (2000): they reach beyond a prefix. Durability, causal writes,
 * immediate priority, the first proxy, tracing of keys and values into logs: they are the cluster's business.
 */
const ALLOWED_OPTIONS = new Map([
  [20, 'causal_read_risky'],
  [30, 'next_write_no_write_conflict_range'],
  [51, 'read_your_writes_disable'],
  [52, 'read_ahead_disable'],
  [201, 'priority_batch'],
  [403, 'debug_transaction_identifier'],
  [500, 'timeout'],
  [501, 'retry_limit'],
  [502, 'max_retry_delay'],
  [503, 'size_limit'],
  [600, 'snapshot_ryw_enable'],
  [601, 'snapshot_ryw_disable'],
  [800, 'tag'],
  [801, 'auto_throttle_tag'],
  [1101, 'use_grv_cache'],
  [1102, 'skip_grv_cache'],
])

/** Its key is not yet the key: see `stampedKeys`. */
export const SET_VERSIONSTAMPED_KEY = 14

/**
 * Operations on one key. FoundationDB numbers its other mutations in the same list (1 is a range clear),
 * so an engine that forgot to look would be led out by an operation code alone. The stamp of 15 goes into
 * the value, which is the tenant's own: nothing to check there.
 */
const ALLOWED_OPERATIONS = new Map([
  [2, 'add'],
  [6, 'bit_and'],
  [7, 'bit_or'],
  [8, 'bit_xor'],
  [9, 'append_if_fits'],
  [12, 'max'],
  [13, 'min'],
  [SET_VERSIONSTAMPED_KEY, 'set_versionstamped_key'],
  [15, 'set_versionstamped_value'],
  [16, 'byte_min'],
  [17, 'byte_max'],
  [20, 'compare_and_clear'],
])

export function optionAllowed(code: number): boolean {
  return ALLOWED_OPTIONS.has(code)
}

export function operationAllowed(code: number): boolean {
  return ALLOWED_OPERATIONS.has(code)
}
