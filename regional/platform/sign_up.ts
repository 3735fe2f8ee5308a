// Signing up, where the platform is open to strangers: an organisation on the free plan for whoever confirms an e-mail
// address. Nothing is kept before that: what was asked for travels, sealed, in the letter's link. How often is counted by
// address and by mailbox, in the database, so that it holds for all instances; neither stands there in clear.
import { createHmac, hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { addressBlock } from '../../shared/address_block.ts'
import { Problem } from '../../shared/problems.ts'
import {
  CONFIRM_PAGE,
  SIGN_UP_CALL,
  type SignedUp,
  type SignUpOffer,
  type SignUpRequest,
  type SignUpShown,
} from '../../shared/sign_up.ts'
import type { Letter } from '../mail/letter.ts'
import type { Mailer } from '../mail/mailer.ts'
import { checkInput, type Declaration, type Input, type RawInput, type Reply } from '../operation.ts'
import { nameSchema, newSlugSchema } from '../schemas.ts'
import { jsonSpace } from '../storage/space.ts'
import type { Sealer } from '../tenancy/idempotency.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Directory } from './directory.ts'
import type { DigestKeys } from './operator_requests.ts'
import { slugTaken, type TenantProvisioner } from './provisioning.ts'

export interface SignUpDependencies {
  /** Undefined where strangers may not, or no letter can be sent. */
  mailer: Mailer | undefined
  regions: ReadonlyArray<string>
  database: RegionDatabase
  directory: Directory
  provisioner: TenantProvisioner
  sealer: Sealer
  /** Key the digests of addresses. */
  digestKeys: DigestKeys
  now: () => number
}

/** Who asks: where from, and where they find the edge. */
export interface Visitor {
  clientIp: string | undefined
  publicOrigin: string
  requestId: string
}

/** One of the edge's own calls for whoever is at the page. */
export interface SignUpCall {
  declaration: Pick<Declaration, 'method' | 'path'>
  prepare(raw: RawInput): (visitor: Visitor) => Promise<Reply>
}

const LINK_TTL_MS = 60 * 60 * 1000
const HOUR_MS = 60 * 60 * 1000
/** In an hour. Letters go to whomever a stranger names, so few of them go to one mailbox. */
const LIMITS = { address: 20, mailbox: 3 } as const
/** Shorter than the edge waits for an answer. */
const SEND_MS = 8_000
const SEALED_FOR = 'sign-up'
/** Named in the new tenant's audit trail as whoever made it. */
const SIGN_UP_OPERATOR = 'sign-up'
const FORGET_AT_ONCE = 100

type Counted = keyof typeof LIMITS
type AttemptKey = [hourMs: number, what: Counted, digest: Buffer]
const attempts = jsonSpace<AttemptKey, number>('sign-up')

const SignUp = z.strictObject({
  slug: newSlugSchema,
  name: nameSchema,
  email: z.email().max(254),
  region: z.string(),
})
const Token = z.strictObject({ token: z.string().max(4_000) })

export function signUpCalls(dependencies: SignUpDependencies): ReadonlyArray<SignUpCall> {
  const { mailer, regions } = dependencies
  const offer: SignUpOffer = { open: mailer !== undefined, regions }
  const calls = new SignUps(dependencies)
  return [
    call({ method: 'get', path: SIGN_UP_CALL }, async () => ({ status: 200, body: offer })),
    call({ method: 'post', path: SIGN_UP_CALL, body: SignUp }, async ({ body }, visitor) => {
      await calls.request(body, visitor)
      return { status: 204 }
    }),
    call({ method: 'post', path: `${SIGN_UP_CALL}/read`, body: Token }, async ({ body }) => ({
      status: 200,
      body: calls.read(body.token),
    })),
    call({ method: 'post', path: `${SIGN_UP_CALL}/confirm`, body: Token }, async ({ body }, visitor) => ({
      status: 201,
      body: await calls.confirm(body.token, visitor),
    })),
  ]
}

function call<B extends Declaration['body'] = undefined>(
  facts: Pick<Declaration<undefined, undefined, B>, 'method' | 'path' | 'body'>,
  handle: (input: Input<undefined, undefined, B>, visitor: Visitor) => Promise<Reply>,
): SignUpCall {
  const declaration = { ...facts, summary: '', tag: '', answers: {} }
  return {
    declaration: facts,
    prepare(raw) {
      const input = checkInput<undefined, undefined, B>(declaration, raw)
      return async (visitor) => {
        if (input instanceof Problem) throw input
        return handle(input, visitor)
      }
    },
  }
}

class SignUps {
  private readonly dependencies: SignUpDependencies

  constructor(dependencies: SignUpDependencies) {
    this.dependencies = dependencies
  }

  /** @throws {Problem} `not_found`, `validation_failed`, `slug_taken`, `rate_limited`, `mail_unavailable` */
  async request(asked: SignUpRequest, { clientIp, publicOrigin }: Visitor): Promise<void> {
    const { regions, directory, sealer, now } = this.dependencies
    const mailer = this.open()
    if (!regions.includes(asked.region)) throw wrong('/region', 'is not a region of this platform')
    // Also in tests of slugs: whoever asks is counted first.
    await this.count('address', clientIp === undefined ? 'unknown' : addressBlock(clientIp))
    if ((await directory.ownerOf(asked.slug)) !== undefined) throw slugTaken(asked.slug)
    const takeBack = await this.count('mailbox', asked.email.toLowerCase())
    const sealed = sealer.seal(JSON.stringify({ ...asked, expiresAtMs: now() + LINK_TTL_MS }), SEALED_FOR)
    const url = `${publicOrigin}${CONFIRM_PAGE}?token=${sealed}`
    const id = `sign-up.${hash('sha256', sealed)}`
    // What is only slow may arrive yet, so it counts until it has failed.
    const sending = mailer.send(letterOf(asked, url), id).catch(() => takeBack().catch(() => undefined))
    const sent = await Promise.race([sending, sleep(SEND_MS, undefined, { ref: false })])
    if (sent === undefined) {
      throw new Problem('mail_unavailable', 'The letter could not be sent. Try again in a few minutes.', {
        headers: { 'retry-after': '60' },
      })
    }
    if (sent.outcome === 'refused') throw wrong('/email', 'takes no letters')
  }

  /** @throws {Problem} `not_found`, `sign_up_expired` */
  read(token: string): SignUpShown {
    this.open()
    const { expiresAtMs, ...asked } = this.unsealed(token)
    return { ...asked, expiresAt: new Date(expiresAtMs).toISOString() }
  }

  /** Repeatable: the same link makes one organisation. @throws {Problem} as {@link read}, `slug_taken`, `conflict` */
  async confirm(token: string, { publicOrigin, requestId }: Visitor): Promise<SignedUp> {
    this.open()
    const { slug, name, email, region } = this.unsealed(token)
    try {
      const { adminLink } = await this.dependencies.provisioner.make({
        operatorId: SIGN_UP_OPERATOR,
        requestId,
        publicOrigin,
        idempotencyKey: token,
        region,
        intent: { slug, name, plan: 'free', owner: { email } },
      })
      return { slug, adminLink: adminLink.url }
    } catch (error) {
      // What operators are told of it speaks of headers, and nobody at a page has any.
      if (error instanceof Problem && error.code === 'conflict') throw madeAndGone()
      throw error
    }
  }

  private open(): Mailer {
    const { mailer } = this.dependencies
    if (mailer === undefined) throw new Problem('not_found', 'This platform is not open for sign-up.')
    return mailer
  }

  private unsealed(token: string): SignUpRequest & { expiresAtMs: number } {
    let asked: (SignUpRequest & { expiresAtMs: number }) | undefined
    try {
      asked = JSON.parse(this.dependencies.sealer.open(token, SEALED_FOR))
    } catch {
      // Cut off, altered, or of another platform.
    }
    if (asked === undefined) throw new Problem('not_found', 'This is not a link that was sent from here.')
    if (asked.expiresAtMs <= this.dependencies.now()) {
      throw new Problem('sign_up_expired', 'Sign up again: the link of a letter holds for an hour.')
    }
    return asked
  }

  /**
   * Counts one more, and forgets the hours before.
   * @returns what takes it back: nothing came of it
   * @throws {Problem} `rate_limited`
   */
  private async count(what: Counted, of: string): Promise<() => Promise<undefined>> {
    const { database, now } = this.dependencies
    const hourMs = Math.floor(now() / HOUR_MS) * HOUR_MS
    const [own, ...former] = this.keysOf(hourMs, what, of)
    const counted = await database.platform(async (scope) => {
      const space = scope.space(attempts)
      const [ofOwn = 0, ofFormer, old] = await Promise.all([
        space.get(own),
        Promise.all(former.map((key) => space.get(key))),
        space.page({ to: [hourMs], limit: FORGET_AT_ONCE }),
      ])
      const before = ofFormer.reduce<number>((sum, count = 0) => sum + count, ofOwn)
      for (const [each] of old.entries) space.clear(each)
      // A commit whose outcome is unknown may count twice: no harm.
      if (before < LIMITS[what]) space.set(own, ofOwn + 1)
      return { value: before + 1, commit: true }
    })
    if (counted > LIMITS[what]) {
      throw new Problem('rate_limited', 'That was tried often enough for now. Try again in an hour.', {
        headers: { 'retry-after': String(Math.ceil((hourMs + HOUR_MS - now()) / 1000)) },
      })
    }
    return () =>
      database.platform(async (scope) => {
        const space = scope.space(attempts)
        const before = await space.get(own)
        if (before !== undefined) space.set(own, Math.max(0, before - 1))
        return { value: undefined, commit: true }
      })
  }

  /** Where the attempts of one are counted: first where they are now, then where they were under earlier keys. */
  private keysOf(hourMs: number, what: Counted, of: string): [AttemptKey, ...AttemptKey[]] {
    const keyedBy = (key: Buffer): AttemptKey => [
      hourMs,
      what,
      createHmac('sha256', key).update(`sign-up ${what} ${of}`).digest().subarray(0, 16),
    ]
    const [current, ...former] = this.dependencies.digestKeys
    return [keyedBy(current), ...former.map(keyedBy)]
  }
}

const wrong = (pointer: string, detail: string): Problem =>
  new Problem('validation_failed', 'The sign-up does not fit.', { errors: [{ pointer, detail }] })

const madeAndGone = (): Problem =>
  new Problem('conflict', 'The organisation that this link made was deleted. Sign up again for a new one.')

const letterOf = ({ name, slug, email }: SignUpRequest, url: string): Letter => ({
  to: email,
  subject: `Confirm your organisation ${name}`,
  paragraphs: [
    `Somebody, hopefully you, is making the organisation ${name} (${slug}) with this e-mail address.`,
    'Open the link within an hour to confirm it. The organisation is there at once, and you are its owner.',
    'If it was not you, there is nothing that you have to do.',
  ],
  link: { text: 'Confirm', url },
})
