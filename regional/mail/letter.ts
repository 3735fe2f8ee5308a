// A letter: what a mail says, as plain text and as minimal HTML of the same words. Whatever stands in it may come from a
// tenant, so the HTML is escaped, and what becomes a header is one line.

export interface Letter {
  to: string
  subject: string
  paragraphs: ReadonlyArray<string>
  /** The one thing that the reader may do. */
  link?: { text: string; url: string }
}

/** At most so much of a subject: some of it is a tenant's word. */
const MAX_SUBJECT = 150

/** Control characters and line ends of every kind become spaces, so nothing after them becomes another header. */
const oneLine = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()

export const subjectOf = ({ subject }: Letter): string =>
  oneLine(subject).slice(0, MAX_SUBJECT).toWellFormed()

export const textOf = ({ paragraphs, link }: Letter): string =>
  [...paragraphs.map(oneLine), ...(link ? [`${link.text}:\n${link.url}`] : [])].join('\n\n')

export function htmlOf({ paragraphs, link }: Letter): string {
  const lines = paragraphs.map((paragraph) => `<p>${escaped(oneLine(paragraph))}</p>`)
  const anchor = link && `<p><a href="${escaped(link.url)}">${escaped(link.text)}</a></p>`
  return ['<!doctype html><meta charset="utf-8">', ...lines, ...(anchor ? [anchor] : [])].join('\n')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (found) => ENTITIES[found] ?? '')
