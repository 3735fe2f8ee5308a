// What lies on the disk of a region: for tests of what may lie there, and what may not.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openEngine } from '../../regional/storage/open.ts'

/** All files of a data directory, in latin1: a text that its database holds is found in it, unless pages part it. */
export async function bytesOf(dataDir: string): Promise<string> {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const contents = await Promise.all(
    files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')),
  )
  return contents.join('\n')
}

/** Every row of the database of a region that is stopped. */
export async function rowsOf(dataDir: string): Promise<Array<readonly [key: Buffer, value: Buffer]>> {
  const engine = await openEngine({ dataDir })
  try {
    const tn = engine.native.createTransaction()
    const { results } = await tn.getRange(
      ...[Buffer.of(0), true, 1],
      ...[Buffer.of(0xff), true, 1],
      ...[0, 0, -2, 1, false, false],
    )
    return results
  } finally {
    await engine.close()
  }
}
