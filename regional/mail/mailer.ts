// The way out for mail. Whoever sends does so from a job, so that nothing is lost while the server is away: an error is a
// reason to try again, `refused` is the server's last word about this letter.
import { createTransport } from 'nodemailer'
import { htmlOf, type Letter, subjectOf, textOf } from './letter.ts'

export type Delivery = { outcome: 'sent' } | { outcome: 'refused'; why: string }

export interface Mailer {
  /**
   * @param id the same for each try of one letter, so that a reader's mailbox can tell a second copy
   * @throws {MailFailure} when it may go well another time
   */
  send(letter: Letter, id: string): Promise<Delivery>
  close(): void
}

/** In words of ours alone: what a server says of a letter mostly has the reader's address in it, and this gets into the log. */
export class MailFailure extends Error {
  constructor({ code, responseCode }: MailError) {
    const said = [responseCode, code].filter((each) => each !== undefined).join(', ')
    super(`the mail server did not take the letter (${said || 'for no known reason'})`)
    this.name = 'MailFailure'
  }
}

/** What nodemailer tells of its errors: a word of its own or the system's, such as `EENVELOPE`, and the server's code. */
interface MailError {
  code?: string
  responseCode?: number
}

const TIMEOUT_MS = 20_000

/**
 * @param url `smtp://user:password@host:port`, or `smtps:`; over `smtp:` STARTTLS is used where the server has it
 * @param from the address that letters come from, perhaps with a name
 */
export function smtpMailer(url: string, from: string): Mailer {
  const transport = createTransport({
    url,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    // Letters have no attachments: nothing that stands in one is a file or an address to fetch.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const domain = /@([\w.-]+)/.exec(from)?.[1] ?? 'localhost'
  return {
    async send(letter, id) {
      try {
        await transport.sendMail({
          from,
          // As an object it is one address, whatever it looks like.
          to: { name: '', address: letter.to },
          subject: subjectOf(letter),
          text: textOf(letter),
          html: htmlOf(letter),
          messageId: `<${id}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated' },
        })
        return { outcome: 'sent' }
      } catch (error) {
        const failure = error as MailError
        const { responseCode } = failure
        // RFC 5321 section 4.2.1: 5yz is permanent. A wrong password (535) is ours to mend, so that is tried again.
        if (responseCode === undefined || responseCode < 500 || responseCode === 535) {
          throw new MailFailure(failure)
        }
        return { outcome: 'refused', why: `The mail server refused the letter (${responseCode}).` }
      }
    },
    close: () => transport.close(),
  }
}
