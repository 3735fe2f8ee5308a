import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

test("the package's own suite passes unchanged over the embedded engine", async () => {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'run_package_suite.ts')])
  // As on a real cluster: the five pending ones are skipped or empty in the package itself.
  expect(stdout).toMatch(/52 passing/)
  expect(stdout).toMatch(/5 pending/)
  expect(stdout).not.toMatch(/failing/)
})
