// What a mail server's answer comes to.
import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MailFailure, smtpMailer } from '../../regional/mail/mailer.ts'
import { type Mailbox, openMailbox } from '../support/mailbox.ts'

let mailbox: Mailbox
beforeAll(async () => {
  mailbox = await openMailbox()
})
afterAll(() => mailbox.close())

const letter = { to: 'ann@example.com', subject: 'Hello', paragraphs: ['Hello.'] }
const send = (url = mailbox.url) => {
  const mailer = smtpMailer(url, 'hello@mail.test')
  return mailer.send(letter, '1').finally(() => mailer.close())
}

test.each<[string, number | undefined, string | undefined, string]>([
  ['what a server takes perhaps later', 451, undefined, '451, EENVELOPE'],
  ['a server that is not there', undefined, 'smtp://127.0.0.1:1', 'ESOCKET'],
])('%s is a failure that tells its codes, and nobody’s address', async (_, code, url, told) => {
  mailbox.refuseWith = code
  const failure = await send(url).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(MailFailure)
  expect(String(failure)).toContain(`(${told})`)
  expect(inspect(failure)).not.toContain('ann')
})

test('what a server never takes is refused, with nobody’s address', async () => {
  mailbox.refuseWith = 550
  expect(await send()).toEqual({ outcome: 'refused', why: 'The mail server refused the letter (550).' })
})
