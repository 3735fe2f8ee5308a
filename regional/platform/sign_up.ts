// Signing up, where the platform is open to strangers: an organisation on the free plan for whoever confirms an e-mail
// address. Nothing is kept before that: what was asked for travels, sealed, in the letter's link. How often is counted by
// address and by mailbox, in the database, so that it holds for all instances; neither stands there in clear.
import { createHmac, hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { addressBlock } from '../../shared/address_block.ts'
import { DEFAULT_LINK_SECONDS } from '../../shared/admin_link.ts'
import { Problem } from '../../shared/problems.ts'
import {
  CONFIRM_PAGE,
  type LinkRequest,
  SIGN_UP_CALL,
  type SignedUp,
  type SignUpOffer,
  type SignUpRequest,
  type SignUpShown,
} from '../../shared/sign_up.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { mailboxOf } from '../mail/mailbox.ts'
import type { Mailer } from '../mail/mailer.ts'
import { checkInput, type Declaration, type Input, type RawInput, type Reply } from '../operation.ts'
import { nameSchema, newSlugSchema, slugSchema } from '../schemas.ts'
import { jsonSpace } from '../storage/space.ts'
import type { Sealer } from '../tenancy/idempotency.ts'
import type { Maker } from '../tenancy/lifecycle.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'
import type { Directory } from './directory.ts'
import type { DigestKeys } from './operator_requests.ts'
import { type Provisioning, slugTaken, type TenantProvisioner } from './provisioning.ts'
import { confirmationLetter, linkLetter } from './sign_up_letters.ts'

export interface SignUpDependencies {
  /** Undefined where strangers may not, or no letter can be sent. */
  mailer: Mailer | undefined
  regions: ReadonlyArray<string>
  database: RegionDatabase
  directory: Directory
  provisioner: TenantProvisioner
  callsTo: (region: string) => Calls
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
/** `link`: of one mailbox and organisation. */
const LIMITS = { address: 20, mailbox: 3, link: 3 } as const
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
const Link = z.strictObject({ slug: slugSchema, email: z.email().max(254) })
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
    call({ method: 'post', path: `${SIGN_UP_CALL}/link`, body: Link }, async ({ body }, visitor) => {
      await calls.requestLink(body, visitor)
      return { status: 204 }
    }),
    call({ method: 'post', path: `${SIGN_UP_CALL}/read`, body: Token }, async ({ body }, visitor) => ({
      status: 200,
      body: await calls.read(body.token, visitor),
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
    await this.countAddress(clientIp)
    if ((await directory.ownerOf(asked.slug)) !== undefined) throw slugTaken(asked.slug)
    const takeBack = await this.count('mailbox', mailboxOf(asked.email))
    const sealed = sealer.seal(JSON.stringify({ ...asked, expiresAtMs: now() + LINK_TTL_MS }), SEALED_FOR)
    const url = `${publicOrigin}${CONFIRM_PAGE}?token=${sealed}`
    const id = `sign-up.${hash('sha256', sealed)}`
    // What is only slow may arrive yet, so it counts until it has failed.
    const sending = mailer
      .send(confirmationLetter(asked, url, publicOrigin), id)
      .catch(() => takeBack().catch(() => undefined))
    const sent = await Promise.race([sending, sleep(SEND_MS, undefined, { ref: false })])
    if (sent === undefined) {
      throw new Problem('mail_unavailable', 'The letter could not be sent. Try again in a few minutes.', {
        headers: { 'retry-after': '60' },
      })
    }
    if (sent.outcome === 'refused') throw wrong('/email', 'takes no letters')
  }

  /**
   * Has a link into their organisation sent to who signed it up with this address, and nothing to anybody else. Nobody who
   * asks learns which it was: not by the answer, nor by how long it took, nor by what is counted.
   * @throws {Problem} `not_found`, `rate_limited` for the address of the network
   */
  async requestLink(asked: LinkRequest, visitor: Visitor): Promise<void> {
    const mailer = this.open()
    await this.countAddress(visitor.clientIp)
    // Where the region or the mail server is away there is no letter, and they ask again.
    void this.sendLink(mailer, asked, visitor).catch(() => undefined)
  }

  /** @throws {Problem} `not_found`, `sign_up_expired` */
  async read(token: string, visitor: Visitor): Promise<SignUpShown> {
    this.open()
    const { expiresAtMs, ...asked } = this.unsealed(token)
    const made = await this.dependencies.provisioner.hasMade(provisioningOf(token, asked, visitor))
    return { ...asked, expiresAt: new Date(expiresAtMs).toISOString(), made }
  }

  /**
   * Repeatable: the same letter makes one organisation, and lets its owner in as often as they like while it holds.
   * @throws {Problem} as {@link read}, `slug_taken`, `conflict`
   */
  async confirm(token: string, visitor: Visitor): Promise<SignedUp> {
    this.open()
    const asked = this.unsealed(token)
    const { slug, email, region } = asked
    const { number } = await this.make(provisioningOf(token, asked, visitor))
    const link = await this.dependencies.callsTo(region).linkForSignedUp({
      number,
      asked: { email, seconds: DEFAULT_LINK_SECONDS },
      by: makerOf(visitor),
    })
    if (link === null) throw notYours()
    return { slug, adminLink: link.url }
  }

  private async make(request: Provisioning): Promise<{ number: TenantNumber }> {
    try {
      return await this.dependencies.provisioner.make(request)
    } catch (error) {
      // What operators are told of it speaks of headers, and nobody at a page has any.
      if (error instanceof Problem && error.code === 'conflict') throw madeAndGone()
      throw error
    }
  }

  private async sendLink(mailer: Mailer, { slug, email }: LinkRequest, visitor: Visitor): Promise<void> {
    const { directory, callsTo } = this.dependencies
    const number = await directory.ownerOf(slug)
    const place = number && (await directory.locate(number))
    if (number === undefined || place === undefined) return
    // By organisation, so that nobody uses up what the owner has by asking for others.
    await this.count('link', `${mailboxOf(email)} ${slug}`)
    const asked = { email, seconds: LINK_TTL_MS / 1000 }
    const link = await callsTo(place.region).linkForSignedUp({ number, asked, by: makerOf(visitor) })
    if (link !== null) await mailer.send(linkLetter(slug, link), `link.${hash('sha256', link.url)}`)
  }

  private countAddress(clientIp: string | undefined): Promise<unknown> {
    return this.count('address', clientIp === undefined ? 'unknown' : addressBlock(clientIp))
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

const makerOf = ({ publicOrigin, requestId }: Visitor): Maker => ({
  operatorId: SIGN_UP_OPERATOR,
  requestId,
  publicOrigin,
})

/** What a letter's link has made, once. */
const provisioningOf = (
  token: string,
  { slug, name, email, region }: SignUpRequest,
  visitor: Visitor,
): Provisioning => ({
  ...makerOf(visitor),
  idempotencyKey: token,
  region,
  intent: { slug, name, plan: 'free', owner: { email }, signedUp: true },
})

const notYours = (): Problem =>
  new Problem(
    'conflict',
    'The organisation was made, but this letter lets nobody in now: it is suspended, or its owner has another way in. Sign in at its identity provider, or ask an administrator, or who runs the platform.',
  )

const madeAndGone = (): Problem =>
  new Problem('conflict', 'The organisation that this link made was deleted. Sign up again for a new one.')
