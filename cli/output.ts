// What a command says: for people as text, with --json as JSON, one object a line. Progress goes to standard error, and
// only to a terminal.

export interface Output {
  json: boolean
  write(text: string): void
  /** Somebody else's text as it comes: to a terminal without control characters but for new lines and tabs, else as it is. */
  writeText(text: string): void
  /** Replaces the last note; undefined takes it away. */
  progress(note: string | undefined): void
}

type Stdout = Pick<NodeJS.WriteStream, 'isTTY' | 'write'>

export const terminalOutput = (json: boolean, stdout: Stdout = process.stdout): Output => ({
  json,
  write: (text) => stdout.write(text),
  writeText: (text) => stdout.write(stdout.isTTY ? text.replace(/[^\n\t]+/g, plain) : text),
  progress(note) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${note ?? ''}`)
  },
})

/** Control characters could be anything to a terminal: what comes from elsewhere is shown without them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are meant
export const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')

const shown = (value: unknown): string => {
  if (value === null || value === undefined) return '-'
  return plain(typeof value === 'string' ? value : JSON.stringify(value))
}

/** One thing: a field a line. */
export function writeThing(output: Output, thing: unknown): void {
  if (output.json || typeof thing !== 'object' || thing === null) {
    output.write(`${JSON.stringify(thing)}\n`)
    return
  }
  const width = Math.max(...Object.keys(thing).map((key) => key.length))
  for (const [key, value] of Object.entries(thing)) output.write(`${key.padEnd(width)}  ${shown(value)}\n`)
}

/** A list: a row each, with these columns. @returns how many */
export async function writeList(
  output: Output,
  list: AsyncIterable<unknown>,
  columns: ReadonlyArray<string>,
): Promise<number> {
  const rows: string[][] = []
  let count = 0
  for await (const thing of list) {
    count++
    if (output.json) output.write(`${JSON.stringify(thing)}\n`)
    else rows.push(columns.map((column) => shown((thing as Record<string, unknown>)[column])))
  }
  if (output.json) return count
  const widths = columns.map((column, i) =>
    Math.max(column.length, ...rows.map((row) => row[i]?.length ?? 0)),
  )
  const line = (cells: ReadonlyArray<string>) =>
    `${cells
      // Nothing stands behind the last one, which may be as long as a document.
      .map((cell, i) => (i === columns.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()}\n`
  output.write(line(columns.map((column) => column.toUpperCase())))
  for (const row of rows) output.write(line(row))
  if (count === 0) output.write('(none)\n')
  return count
}
