// Waiting for what comes about by itself. Vitest waits a second, and a busy machine takes longer.
import { vi } from 'vitest'

/** @returns what `check` answers the first time that it does not fail; after 20 seconds it fails as `check` did */
export const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 })
