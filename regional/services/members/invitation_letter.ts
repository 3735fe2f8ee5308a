// An invitation on its way by mail: a job, so that it survives crashes and a mail server that is away. What is waiting
// to be sent holds the secret, so it is sealed by the region's key.
import { jobKind, type ServiceJobKind } from '../../jobs/kind.ts'
import type { Letter } from '../../mail/letter.ts'
import type { Delivery, Mailer } from '../../mail/mailer.ts'
import { type InvitationRecord, invitationSpace } from '../../tenancy/records.ts'

/** Seals a text for what `bound` names, and opens it. */
export interface LetterSeal {
  seal(text: string, bound: string): string
  open(sealed: string, bound: string): string
}

export type SendInvitation = ServiceJobKind<{ invitation: string; sealed: string }, undefined, Delivery>

export const sendInvitation = (mailer: Mailer, seal: LetterSeal): SendInvitation =>
  jobKind({
    kind: 'members.send-invitation',
    service: 'members',
    // About a day, all in all.
    retry: { firstMs: 2_000, maxMs: 2 * 60 * 60 * 1000, tries: 24 },
    outside: ({ id, payload: { invitation, sealed } }) =>
      mailer.send(JSON.parse(seal.open(sealed, invitation)) as Letter, id),
    async step(tx, { payload }, delivery) {
      const invitation = await tx.space(invitationSpace).get([payload.invitation])
      if (invitation !== undefined) {
        tx.space(invitationSpace).set([invitation.id], { ...invitation, delivery: delivery.outcome })
      }
      return delivery.outcome === 'refused' ? { failed: delivery.why } : { finished: true, done: 1 }
    },
  })

export const letterOf = (
  { email, role, expiresAtMs }: InvitationRecord,
  organisation: string,
  url: string,
): Letter => ({
  to: email,
  subject: `You are invited to ${organisation}`,
  paragraphs: [
    `You are invited to join ${organisation} as ${role}.`,
    `The invitation can be accepted once, until ${new Date(expiresAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC.`,
    'If you did not expect it, there is nothing that you have to do.',
  ],
  link: { text: 'Accept the invitation', url },
})
