// The console's pure parts: a colour that can always be read, a logo that shuts nobody out, and cells that no spreadsheet
// calculates with.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { landing } from '../../edge/console/landing.ts'
import { contrast, read, readableAccent } from '../../edge/console/parts/accent.ts'
import { contentPolicy } from '../../edge/console/parts/content_policy.ts'
import { csvOf } from '../../edge/console/parts/csv.ts'

const LIGHT = ['#ffffff', '#f6f7f9', '#e9ecf1']
const DARK = ['#16181d', '#1f2229', '#2a2e37']

test('whatever colour an organisation chooses, text in it, and text on it, can be read', () => {
  const color = fc
    .integer({ min: 0, max: 0xffffff })
    .map((value) => `#${value.toString(16).padStart(6, '0')}`)
  const between = (a: string, b: string) => contrast(read(a) ?? [0, 0, 0], read(b) ?? [0, 0, 0])
  fc.assert(
    fc.property(color, (chosen) => {
      const accent = readableAccent(chosen)
      if (accent === undefined) throw new Error('a colour')
      for (const ground of LIGHT) expect(between(accent.onLight, ground)).toBeGreaterThanOrEqual(4.5)
      for (const ground of DARK) expect(between(accent.onDark, ground)).toBeGreaterThanOrEqual(4.5)
    }),
  )
})

test('a colour that can be read stays as it is, and what is none is none', () => {
  expect(readableAccent('#0b57d0')?.onLight).toBe('#0b57d0')
  expect(readableAccent('red')).toBeUndefined()
  expect(readableAccent('#fff;}')).toBeUndefined()
})

test('an https logo may be loaded from its host, and an address that is none from nowhere', () => {
  const images = (logoUrl: string) => /img-src ([^;]*)/.exec(contentPolicy('nonce', logoUrl))?.[1]
  expect(images('https://cdn.example:8443/logo.png')).toBe("'self' data: https://cdn.example:8443")
  for (const none of ['https://cdn.example:84433/logo.png', 'https://10.0.0.999/logo.png', 'https:']) {
    expect(images(none)).toBe("'self' data:")
  }
})

test('no cell of a file begins a formula, and every text comes back as it was', () => {
  const columns: Array<[string, (row: string) => string]> = [['text', (row) => row]]
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.constantFrom('=1+1', '+1', '-1', '@a', '\t=1', ' =1', '"=1', '\r=1')),
      (text) => {
        const cell = csvOf(columns, [text]).slice('text\r\n'.length, -2)
        const bare = cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell
        expect(bare.trimStart()).not.toMatch(/^[=+\-@]/)
        expect([text, `'${text}`]).toContain(bare)
      },
    ),
  )
})

test.each([
  ['/projects?cursor=a%2Fb', '/admin/acme/projects?cursor=a%2Fb'],
  ['', '/admin/acme/'],
  ['@evil.example/', '/admin/acme/'],
  ['.evil.example/', '/admin/acme/'],
  ['/../../other/', '/admin/acme/'],
  ['/%2e%2E/other/', '/admin/acme/'],
  ['\\..\\..\\other/', '/admin/acme/'],
  ['//evil.example/', '/admin/acme//evil.example/'],
  ['https://evil.example/', '/admin/acme/'],
])('whoever asked for %s on the way in comes to %s', (path, landed) => {
  expect(landing('acme', path, 'https://console.example')).toBe(landed)
})
