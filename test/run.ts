// Runs the tests; what stands behind `npm test --` goes to Vitest. A machine that others share stalls, so in CI a file in
// which something fails is run a second time, by itself and from its beginning. At the end stand what passed only then, what
// was skipped because of the machine (its name says why), and one plain line, `N passed, N failed`.
import { createVitest, parseCLI, type TestModule, TestsNotFoundError } from 'vitest/node'

/** Where more files fail than this, it was not the machine. */
const MOST_AGAIN = 5

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)])
// It has been shown.
if ('help' in options) process.exit()
const vitest = await createVitest({ ...options, watch: false })
try {
  process.exitCode = await run()
} catch (error) {
  // Vitest has said so.
  if (!(error instanceof TestsNotFoundError)) throw error
  process.exitCode = 1
} finally {
  await vitest.close()
}

/** @returns the exit code */
async function run(): Promise<0 | 1> {
  let { testModules, unhandledErrors } = await vitest.start(filter)
  const strayIn = ({ moduleId }: TestModule) => unhandledErrors.some((error) => fileOf(error) === moduleId)
  const failed = testModules.filter((module) => !module.ok() || strayIn(module))
  const before = failed.flatMap((module) => [
    ...failuresOf(module),
    ...(strayIn(module) ? [`${module.relativeModuleId} > an error that nobody caught`] : []),
  ])
  if (process.env.CI && failed.length > 0 && failed.length <= MOST_AGAIN) {
    console.log(`\nOnce more: ${failed.map(({ relativeModuleId }) => relativeModuleId).join(', ')}`)
    const again = await vitest.runTestSpecifications(failed.map((module) => module.toTestSpecification()))
    const latest = new Map([...testModules, ...again.testModules].map((module) => [module.id, module]))
    testModules = [...latest.values()]
    const others = unhandledErrors.filter(
      (error) => !failed.some(({ moduleId }) => fileOf(error) === moduleId),
    )
    unhandledErrors = [...others, ...again.unhandledErrors]
  }
  const after = testModules.flatMap(failuresOf)
  for (const name of before.filter((name) => !after.includes(name))) {
    console.log(`passed only when tried again: ${name}`)
  }
  const tests = testModules.flatMap((module) => [...module.children.allTests()])
  const skipped = tests.filter((test) => test.result().state === 'skipped')
  for (const { name, fullName } of skipped) if (/\(skipped: .+\)$/.test(name)) console.log(fullName)
  const passed = tests.filter((test) => test.result().state === 'passed').length
  const failures = after.length + unhandledErrors.length
  const also = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
  console.log(`\n${passed} passed, ${failures} failed${also}`)
  return failures > 0 || testModules.some((module) => !module.ok()) ? 1 : 0
}

/** While which file's tests ran an error came up that nobody caught, as Vitest notes it. */
function fileOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'VITEST_TEST_PATH' in error && error.VITEST_TEST_PATH
}

/** Tests that failed, and the file or its parts that could not even run. */
function failuresOf(module: TestModule): string[] {
  const tests = [...module.children.allTests('failed')].map(({ fullName }) => fullName)
  const errors = [module, ...module.children.allSuites()].flatMap((each) => each.errors())
  return [...tests, ...errors.map(({ message }) => message)].map(
    (name) => `${module.relativeModuleId} > ${name}`,
  )
}
