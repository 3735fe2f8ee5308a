import fc from 'fast-check'
import { expect, test } from 'vitest'
import { htmlOf, type Letter, subjectOf, textOf } from '../../regional/mail/letter.ts'

const letters = fc.record({
  to: fc.constant('ann@example.com'),
  subject: fc.string({ unit: 'binary' }),
  paragraphs: fc.array(fc.string({ unit: 'binary' }), { maxLength: 4 }),
})

test('whatever a letter says, its subject is one line and its HTML has our own tags alone', () => {
  fc.assert(
    fc.property(letters, (letter: Letter) => {
      expect(subjectOf(letter)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u)
      expect(subjectOf(letter).isWellFormed()).toBe(true)
      const tags = htmlOf(letter).match(/<[^>]*>?/g) ?? []
      for (const tag of tags)
        expect(['<!doctype html>', '<meta charset="utf-8">', '<p>', '</p>']).toContain(tag)
    }),
  )
})

test('a subject that brings another header along stays one subject', () => {
  const letter = { to: 'a@b.test', subject: 'Hi\r\nBcc: all@example.com', paragraphs: [] }
  expect(subjectOf(letter)).toBe('Hi Bcc: all@example.com')
})

test('the text and the HTML have the same link', () => {
  const url = 'https://example.com/?a=1&b=2'
  const letter = { to: 'a@b.test', subject: 's', paragraphs: ['p'], link: { text: 'Go', url } }
  expect(textOf(letter)).toContain(url)
  expect(htmlOf(letter)).toContain('href="https://example.com/?a=1&amp;b=2"')
})
