// CSV (RFC 4180) that a spreadsheet may open: a text that would begin a formula there gets an apostrophe before it, so
// that what a tenant's clients wrote stays text.

const FORMULA = /^[=+\-@\t\r\n|%]/

export const csvOf = <T>(
  columns: ReadonlyArray<[title: string, of: (row: T) => string]>,
  rows: ReadonlyArray<T>,
): string =>
  [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, of]) => of(row)))]
    .map((cells) => `${cells.map(cell).join(',')}\r\n`)
    .join('')

function cell(text: string): string {
  const safe = FORMULA.test(text.trimStart()) || FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) || safe !== text ? `"${safe.replaceAll('"', '""')}"` : safe
}
