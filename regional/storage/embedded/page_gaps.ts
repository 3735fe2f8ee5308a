// What lies in a page of SQLite's file beside its rows. `secure_delete` overwrites a row that is deleted, and not the copy that
// stays behind where a row was moved to another page; so the pages are gone through once more, and what no row is in is
// overwritten. To SQLite these bytes mean nothing, whichever connection holds the page. (https://sqlite.org/fileformat2.html,
// section 1.6, "B-tree Pages".)
import { fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs'

export const PAGE_BYTES = 4096
/** Before the first page's own header stands the file's. */
const FILE_HEADER_BYTES = 100
const HEADER_BYTES: ReadonlyMap<number, number> = new Map([
  [2, 12],
  [5, 12],
  [10, 8],
  [13, 8],
])
/**
 * A page that is no B-tree's begins with the number of another one, whose first byte is below the least kind of a B-tree's as
 * long as the file has fewer pages than this.
 */
const MAX_PAGES = 0x02_00_00_00
const PAGES_A_READ = 64
const ZEROS = Buffer.alloc(PAGE_BYTES)

/** @returns from where to where nothing lies between the page's index and its rows; undefined for a page without rows */
export function gapOf(page: Buffer, number: number): [from: number, to: number] | undefined {
  const header = number === 1 ? FILE_HEADER_BYTES : 0
  const headerBytes = HEADER_BYTES.get(page[header] ?? 0)
  if (headerBytes === undefined) return undefined
  const rows = page.readUInt16BE(header + 3)
  const from = header + headerBytes + 2 * rows
  const to = page.readUInt16BE(header + 5)
  // What a page cannot say is left to SQLite, which calls the file damaged.
  return from < to && to <= PAGE_BYTES ? [from, to] : undefined
}

/**
 * Overwrites what lies in gaps of so many pages. Nobody may write to the file meanwhile; who reads it sees no difference.
 * @param from the first one's number, from 1
 * @returns the next one's; undefined at the end, when all of it is on disk
 */
export function overwriteGaps(file: number, from: number, count: number): number | undefined {
  const last = Math.floor(fstatSync(file).size / PAGE_BYTES)
  const end = Math.min(from + count, last + 1)
  const pages = Buffer.allocUnsafeSlow(PAGES_A_READ * PAGE_BYTES)
  for (let at = from; at < end && last < MAX_PAGES; at += PAGES_A_READ) {
    const wanted = Math.min(PAGES_A_READ, end - at) * PAGE_BYTES
    const read = readSync(file, pages, 0, wanted, (at - 1) * PAGE_BYTES)
    for (let offset = 0; offset + PAGE_BYTES <= read; offset += PAGE_BYTES) {
      const page = pages.subarray(offset, offset + PAGE_BYTES)
      const number = at + offset / PAGE_BYTES
      const gap = gapOf(page, number)
      if (gap === undefined) continue
      const [begin, length] = [gap[0], gap[1] - gap[0]]
      if (page.compare(ZEROS, 0, length, begin, gap[1]) === 0) continue
      writeSync(file, ZEROS, 0, length, (number - 1) * PAGE_BYTES + begin)
    }
  }
  if (end <= last) return end
  fdatasyncSync(file)
  return undefined
}
