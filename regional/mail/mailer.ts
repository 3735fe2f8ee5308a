// The way out for mail. Whoever sends does so from a job, so that nothing is lost while the server is away: an error is a
// reason to try again, `refused` is the server's last word about this letter.
import { createTransport } from 'nodemailer'
import { htmlOf, type Letter, subjectOf, textOf } from './letter.ts'

export type Delivery = { outcome: 'sent' } | { outcome: 'refused'; why: string }

export interface Mailer {
  /**
   * @param id the same for each try of one letter, so that a reader's mailbox can tell a second copy
   * @throws {Error} when it may go well another time
   */
  send(letter: Letter, id: string): Promise<Delivery>
  close(): void
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
        const { responseCode } = error as { responseCode?: number }
        // RFC 5321 section 4.2.1: 5yz is permanent. A wrong password (535) is ours to mend, so that is tried again.
        if (responseCode === undefined || responseCode < 500 || responseCode === 535) throw error
        return { outcome: 'refused', why: `The mail server refused the letter (${responseCode}).` }
      }
    },
    close: () => transport.close(),
  }
}
