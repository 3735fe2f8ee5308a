// The letters of signing up. Strangers have them sent to whom they like: words of their own stand in no subject, and in
// quotation marks below it.
import { LINK_PAGE, type SignUpRequest } from '../../shared/sign_up.ts'
import type { Letter } from '../mail/letter.ts'
import type { OwnerLink } from '../tenancy/owner_link.ts'

export const confirmationLetter = (
  { name, slug, email }: SignUpRequest,
  url: string,
  publicOrigin: string,
): Letter => ({
  to: email,
  subject: `Confirm the organisation ${slug}`,
  paragraphs: [
    `Somebody, hopefully you, is making the organisation ${slug} with this e-mail address, and calls it “${name}”.`,
    'Open the link within an hour to confirm it. The organisation is there at once, and you are its owner.',
    `Within that hour the link lets you in again, too. Later you get another one at ${publicOrigin}${LINK_PAGE}.`,
    'If it was not you, there is nothing that you have to do.',
  ],
  link: { text: 'Confirm', url },
})

export const linkLetter = (slug: string, { email, url }: OwnerLink): Letter => ({
  to: email,
  subject: `Your link to the organisation ${slug}`,
  paragraphs: [
    `Somebody, hopefully you, asked for a way into the organisation ${slug}, which was made with this e-mail address.`,
    'Open the link within an hour to sign in. It works once.',
    'If it was not you, there is nothing that you have to do.',
  ],
  link: { text: 'Sign in', url },
})
