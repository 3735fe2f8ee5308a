// Runs the mocha suite that ships inside the npm package `foundationdb`, unchanged, over the embedded engine:
// `fdb.open()` in it opens a temporary directory. Prints the package's own report.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { setOpener } from '../../regional/storage/foundationdb.ts'

interface MochaRunner {
  addFile(path: string): void
  run(done: (failures: number) => void): void
}

const require = createRequire(import.meta.url)
const Mocha = require('mocha') as new (options: { timeout: number }) => MochaRunner
const suite = join(dirname(require.resolve('foundationdb/package.json')), 'dist', 'test')
const dataDir = await mkdtemp(join(tmpdir(), 'coditect-suite-'))
const engine = await openEmbedded({ dataDir })
setOpener(() => engine.database())

// Its retry test waits for real back-off, and says so with a limit of its own.
const mocha = new Mocha({ timeout: 10_000 })
for (const name of (await readdir(suite)).filter((file) => file.endsWith('.js')).sort())
  mocha.addFile(join(suite, name))
const failures = await new Promise<number>((resolve) => {
  mocha.run(resolve)
})
await engine.close()
await rm(dataDir, { recursive: true, force: true })
process.exitCode = failures === 0 ? 0 : 1
