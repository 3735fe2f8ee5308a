// Ends a test run with one plain line, `N passed, N failed`, that a person or a script can read. Before it stands what
// was skipped because of the machine (its name says why), and what failed at first and passed when it was tried again.
import type { Reporter, TestModule } from 'vitest/node'

export default class Summary implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      if (module.errors().length > 0) count.failed++
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state !== 'pending') count[state]++
        if (state === 'skipped' && /\(skipped: .+\)$/.test(test.name)) console.log(test.fullName)
        if (test.diagnostic()?.flaky)
          console.log(`passed only when tried again: ${module.relativeModuleId} > ${test.fullName}`)
      }
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
    console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`)
  }
}
