// What a cold isolate has to load: the pipeline stays small, and the console comes apart from it, with its first page.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { ROOT } from './stack.ts'

const PIPELINE_BYTES = 40_000
/** Pages, style and script of everybody's console, loaded once an isolate. */
const CONSOLE_BYTES = 76_000

test('the pipeline is at most 40 kB of the bundle, packed, and the console is apart from it', async () => {
  const outdir = mkdtempSync(join(tmpdir(), 'coditect-bundle-'))
  try {
    const { metafile } = await build({
      entryPoints: [join(ROOT, 'edge', 'worker.ts')],
      outdir,
      bundle: true,
      splitting: true,
      minify: true,
      format: 'esm',
      target: 'esnext',
      conditions: ['workerd', 'worker'],
      external: ['cloudflare:*'],
      tsconfig: join(ROOT, 'tsconfig.edge.json'),
      metafile: true,
      logLevel: 'silent',
    })
    const ofConsole = new Set(
      Object.entries(metafile.outputs)
        .filter(([, { inputs }]) =>
          Object.keys(inputs).some((input) => input.endsWith('edge/console/app.tsx')),
        )
        .map(([path]) => path.split('/').at(-1)),
    )
    expect(ofConsole.size).toBe(1)
    // As one file, which is how they are deployed.
    const packed = (wanted: boolean) => {
      const names = readdirSync(outdir).filter((name) => ofConsole.has(name) === wanted)
      return gzipSync(Buffer.concat(names.map((name) => readFileSync(join(outdir, name))))).length
    }
    expect(packed(false)).toBeLessThan(PIPELINE_BYTES)
    expect(packed(true)).toBeLessThan(CONSOLE_BYTES)
  } finally {
    rmSync(outdir, { recursive: true, force: true })
  }
})
