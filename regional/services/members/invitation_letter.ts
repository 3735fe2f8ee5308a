// An invitation on its way by mail: a job, so that it survives crashes and a mail server that is away. What is waiting
// to be sent holds the secret, so it is sealed by the region's key. One that has ended meanwhile is not sent.
import { jobKind, type ServiceJobKind } from '../../jobs/kind.ts'
import type { Letter } from '../../mail/letter.ts'
import type { Delivery, Mailer } from '../../mail/mailer.ts'
import { type InvitationRecord, invitationSpace, type Organisation } from '../../tenancy/records.ts'
import { statusOf } from './invitations.ts'

/** Seals a text for what `bound` names, and opens it. */
export interface LetterSeal {
  seal(text: string, bound: string): string
  open(sealed: string, bound: string): string
}

/** `not_sent`: it has ended, or, with a reason, nobody took the letter for too long. */
type Sent = Delivery | { outcome: 'not_sent' } | { outcome: 'not_sent'; why: string }

type InvitationJob = { invitation: string; sealed: string }
export type SendInvitation = ServiceJobKind<InvitationJob, undefined, Sent, InvitationRecord | undefined>

/** About a day, all in all. */
const RETRY = { firstMs: 2_000, maxMs: 2 * 60 * 60 * 1000, tries: 24 }

export const sendInvitation = (mailer: Mailer, seal: LetterSeal): SendInvitation =>
  jobKind({
    kind: 'members.send-invitation',
    service: 'members',
    retry: RETRY,
    async read(tx, { payload }) {
      const invitation = await tx.space(invitationSpace).get([payload.invitation])
      const status = invitation && (await statusOf(invitation, tx.issuers, tx.nowMs))
      return status === 'open' ? invitation : undefined
    },
    async outside({ id, payload, failures }, _signal, invitation) {
      if (invitation === undefined) return { outcome: 'not_sent' }
      let why = 'Something went wrong on our side.'
      try {
        const letter = JSON.parse(seal.open(payload.sealed, invitation.id)) as Letter
        why = 'No mail server took the letter.'
        return await mailer.send(letter, id)
      } catch (error) {
        // Nobody writes down how it went after a last try that fails.
        if (failures + 1 < RETRY.tries) throw error
        return { outcome: 'not_sent', why }
      }
    },
    async step(tx, { payload }, delivery) {
      const invitation = await tx.space(invitationSpace).get([payload.invitation])
      if (invitation !== undefined) {
        tx.space(invitationSpace).set([invitation.id], { ...invitation, delivery: delivery.outcome })
      }
      return 'why' in delivery ? { failed: delivery.why } : { finished: true, done: 1 }
    },
  })

export const letterOf = (
  { email, role, expiresAtMs }: InvitationRecord,
  { slug, name }: Pick<Organisation, 'slug' | 'name'>,
  url: string,
): Letter => ({
  to: email,
  // An organisation calls itself what it likes: that stands in no subject, and in quotation marks below.
  subject: `You are invited to the organisation ${slug}`,
  paragraphs: [
    `You are invited to join “${name}” (${slug}) as ${role}.`,
    `The invitation can be accepted once, until ${new Date(expiresAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC.`,
    'If you did not expect it, there is nothing that you have to do.',
  ],
  link: { text: 'Accept the invitation', url },
})
