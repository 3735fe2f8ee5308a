// The log's way out, in a process of its own whose standard output is a pipe.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'

const OUTPUT = new URL('../../regional/standard_output.ts', import.meta.url)
const LINES = 3_000
const LINE = 'x'.repeat(999)

let child: ChildProcess
afterEach(() => void child.kill('SIGKILL'))

/** Writes more than is kept, and does `then`, which says on standard error how many lines were lost. */
function writer(then: string) {
  const script = `import { standardOutput } from '${OUTPUT}'
    let lost = 0
    const { write } = standardOutput(() => lost++)
    for (let i = 0; i < ${LINES}; i++) write('${LINE}\\n')
    ${then}`
  const started = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('.', OUTPUT)),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child = started
  return { child: started, ended: once(started, 'exit'), lost: once(started.stderr, 'data').then(Number) }
}

test('what is not lost comes out whole, however late its reader is', async () => {
  const { child, lost } = writer('setTimeout(() => console.error(lost), 300); setTimeout(() => {}, 2_000)')
  await lost
  const lines = (await text(child.stdout)).trimEnd().split('\n')
  expect(await lost).toBeGreaterThan(0)
  expect(lines).toHaveLength(LINES - (await lost))
  expect(new Set(lines)).toEqual(new Set([LINE]))
})

test('a process whose log nobody reads ends all the same', async () => {
  const { ended, lost } = writer('setTimeout(() => { console.error(lost); process.exit(3) }, 300)')
  expect(await ended).toEqual([3, null])
  expect(await lost).toBeGreaterThan(0)
})

test('a process that ends at once has written its last lines', async () => {
  const { child, ended } = writer(`process.exit(0)`)
  const lines = (await text(child.stdout)).trimEnd().split('\n')
  expect(await ended).toEqual([0, null])
  expect(lines.length).toBeGreaterThan(1)
  expect(new Set(lines)).toEqual(new Set([LINE]))
})
