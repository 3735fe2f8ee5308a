// A data file of which a disk has lost a page.
import { readFile, writeFile } from 'node:fs/promises'

const PAGE_BYTES = 4_096

/** Overwrites the page of the file that holds `text`. Nothing may have it open. */
export async function damagePage(file: string, text: string): Promise<void> {
  const bytes = await readFile(file)
  const at = bytes.indexOf(text)
  if (at < 0) throw new Error(`${file} has no ${text}`)
  const page = at - (at % PAGE_BYTES)
  bytes.fill(0xa5, page, page + PAGE_BYTES)
  await writeFile(file, bytes)
}
