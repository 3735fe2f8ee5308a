// Signing up: what the edge's pages and the control region say to each other of an organisation that a stranger makes.

/** The page for strangers, and where the link in their letter leads. */
export const SIGN_UP_PAGE = '/sign-up'
export const CONFIRM_PAGE = `${SIGN_UP_PAGE}/confirm`
/** Where who signed up asks for another way in. */
export const LINK_PAGE = `${SIGN_UP_PAGE}/link`

/** Of the control region, for the edge alone. */
export const SIGN_UP_CALL = '/edge/v1/sign-ups'

/** `GET`: whether strangers may, and where their organisation can live. */
export interface SignUpOffer {
  open: boolean
  regions: ReadonlyArray<string>
}

/** `POST …`: has a letter sent to the address. */
export interface SignUpRequest {
  slug: string
  name: string
  email: string
  region: string
}

/** `POST …/read` with `{ token }` */
export interface SignUpShown extends SignUpRequest {
  /** RFC 3339 */
  expiresAt: string
  /** The organisation is there already. */
  made: boolean
}

/** `POST …/link`: has a link sent, if that address signed the organisation up. The answer never says whether. */
export interface LinkRequest {
  slug: string
  email: string
}

/** `POST …/confirm` with `{ token }`: the organisation is there. Again, it is another link into the same one. */
export interface SignedUp {
  slug: string
  /** Lets its owner into the console, once. */
  adminLink: string
}
