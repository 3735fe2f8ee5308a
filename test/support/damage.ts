// A data file of which a disk has lost a page.
import { readFile, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'

const PAGE_BYTES = 4_096
/** Of an index, which the table is (https://sqlite.org/fileformat.html#b_tree_pages). Through any other page lies the way to others. */
const LEAF = 0x0a

/**
 * Overwrites the page that holds one of these texts, the first whose page leads to no other. Nothing may have the file open.
 * @returns which
 */
export async function damagePage(file: string, texts: ReadonlyArray<string>): Promise<string> {
  // Pages keep what was moved out of them, and so may have the text of another page's row.
  const db = new DatabaseSync(file)
  db.exec('VACUUM')
  db.close()
  const bytes = await readFile(file)
  for (const text of texts) {
    const at = bytes.indexOf(text)
    const page = at - (at % PAGE_BYTES)
    if (at < 0 || bytes[page] !== LEAF) continue
    bytes.fill(0xa5, page, page + PAGE_BYTES)
    await writeFile(file, bytes)
    return text
  }
  throw new Error(`${file} has none of ${texts.join(', ')} in a leaf`)
}
