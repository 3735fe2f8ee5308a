// What the loopback regions (test/support/loopback_region.ts) tell the tests inside workerd.

/** A request as it came over the wire. */
export interface Seen {
  method: string
  target: string
  headers: Record<string, string>
  body: string
  /** The edge went away before the answer's end. */
  aborted: boolean
}

declare module 'vitest' {
  interface ProvidedContext {
    /** `steady` always listens; `fragile` is for the one test file that takes it down. */
    regions: { control: string; steady: string; fragile: string }
  }
}
