// Programs that npm does not bring.
import { spawnSync } from 'node:child_process'
import { test } from 'vitest'

/** A test of what takes such a program: without it the test is skipped, and its name, and the run's last lines, say why. */
export function testWith(program: string, name: string, work: () => Promise<void>): void {
  const isThere = spawnSync(program, ['--version']).status === 0
  test.skipIf(!isThere)(isThere ? name : `${name} (skipped: ${program} is not installed)`, work)
}
