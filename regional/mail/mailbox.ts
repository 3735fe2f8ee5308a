// Which mailbox an address is of, as far as an address says it: what comes after a plus is the reader's own sorting
// (RFC 5233), and hardly a server tells upper from lower case. To count by, never to write to.

export const mailboxOf = (email: string): string => email.toLowerCase().replace(/\+[^@]*(?=@)/, '')
