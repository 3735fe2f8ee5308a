// The schemas that every resource shares: ids, names, times, problems.
import { z } from 'zod'
import type { Id, IdPrefix } from '../shared/ids.ts'
import { PROBLEMS, type ProblemCode } from '../shared/problems.ts'
import { SLUG } from '../shared/tenant.ts'
import { NO_TIME } from './plain_errors.ts'

/** A TypeID of this kind. Its type is told, not made by a transform: zod keeps weak maps for each parse of a schema with one. */
export const idSchema = <P extends IdPrefix>(prefix: P) =>
  z
    .string()
    .regex(
      new RegExp(`^${prefix}_[0-7][0-9a-hjkmnp-tv-z]{25}$`),
      `is not an id that begins with ${prefix}_`,
    ) as unknown as z.ZodType<Id<P>, string>

/** A name that a person gives: one line, no control characters. */
export const nameSchema = z
  .string()
  .min(1)
  .max(200)
  .refine(
    (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
    'has control characters or is not well-formed',
  )
  .refine((text) => text.trim() === text, 'begins or ends with white space')

export const timeSchema = z.iso.datetime().meta({ description: 'RFC 3339, UTC' })
export const slugSchema = z
  .string()
  .regex(
    SLUG,
    'is to be 1 to 63 small letters a–z, digits and hyphens, with no hyphen at its beginning or end',
  )

/** Of the platform: parts of the console's paths, and hosts that people take for the platform's own. */
const RESERVED_SLUGS: ReadonlySet<string> = new Set([
  ...['enter', 'invitation', 'sign-in', 'sign-out', 'sign-up', 'operator', 'platform', 'console', 'hooks'],
  ...['admin', 'api', 'docs', 'healthz', 'static', 'status', 'support', 'mail', 'www'],
])

/** Such as `xn--pple-43d`, which browsers show as another word (RFC 5890): nobody is to look like somebody else. */
const ENCODED = /^..--/

/** Of an organisation that is to be. */
export const newSlugSchema = slugSchema
  .refine((slug) => !RESERVED_SLUGS.has(slug), 'is reserved for the platform')
  .refine((slug) => !ENCODED.test(slug), 'has -- as its third and fourth character')

export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z
      .enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]])
      .meta({ description: 'A stable word for this kind of problem.' }),
    requestId: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string(), code: z.string().optional() }))
      .optional(),
  })
  .meta({ id: 'Problem' })

/** A time that a client sends: `+00:00`, as Python and what is generated for it write it, is UTC, too. Answers have `Z`. */
export const sentTimeSchema = z.iso
  .datetime({ offset: true, abort: true })
  .refine((time) => /(?:Z|\+00:00)$/.test(time), { error: NO_TIME, abort: true })
  .meta({ description: 'RFC 3339, UTC' })

/** Beside an actor that is a session, or the link that begins one. */
export const actorsMember = idSchema('mem')
  .optional()
  .meta({ description: 'For a session or an admin link: the member whose it is, where it is one’s.' })

/** Of a change of which every part may be left out. */
export const changesSomething = [
  (changes: object): boolean => Object.keys(changes).length > 0,
  'says nothing to change',
] as const
