// A real SMTP server for tests: keeps what it accepts, and refuses or fails on request.
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'

export interface Mail {
  from: string
  to: string[]
  /** Headers and body, as they came. */
  raw: string
}

export interface Mailbox {
  url: string
  mails: Mail[]
  /** Answers every recipient with this code while it is set. */
  refuseWith: number | undefined
  close(): Promise<void>
}

export async function openMailbox(): Promise<Mailbox> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo({ address }, _session, done) {
      const code = mailbox.refuseWith
      const no = new Error(`<${address}>: Recipient address rejected`)
      done(code === undefined ? undefined : Object.assign(no, { responseCode: code }))
    },
    onData(stream, { envelope }, done) {
      void text(stream).then((raw) => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        mailbox.mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), raw })
        done()
      }, done)
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const mailbox: Mailbox = {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    mails: [],
    refuseWith: undefined,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
  return mailbox
}

/** What quoted-printable (RFC 2045 section 6.7) stands for. */
export const decoded = (raw: string): string =>
  raw
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
