// Idempotency: a request that is sent twice has one effect. The record is written in the same commit as the work, so
// there is no instant at which one is there without the other. A record also tells a request's own retry, after a
// commit with an unknown outcome, that it has already happened; and an edge that sends a request again, because its
// answer got lost, what that was.
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  type KeyObject,
  randomFillSync,
} from 'node:crypto'
import { Problem } from '../../shared/problems.ts'
import type { Reply } from '../operation.ts'
import { jsonSpace } from '../storage/space.ts'

/** How long an answer is kept for a client's own key. */
const ANSWER_TTL_MS = 24 * 60 * 60 * 1000
/** How long a request without a key is remembered, with its answer: longer than any retry of it lives. */
const MARKER_TTL_MS = 10 * 60 * 1000
/** A record is not deleted by one clock while another still lets the request in. */
const CLOCK_SLACK_MS = 60_000
/** Larger answers are not kept; their replay reads the resource, or is told to. */
const MAX_ANSWER_BYTES = 16 * 1024
/** Smaller ones always are. */
const SMALL_ANSWER_BYTES = 1024
/** What AES-GCM takes without hashing it first (NIST SP 800-38D). */
const IV_BYTES = 12

export interface IdempotencyRecord {
  requestId: string
  /** Which attempt at that request committed. */
  attempt: number
  expiresAt: number
  /** It has begun, and goes on outside any transaction, until then at most: there is no answer yet. */
  runningUntil?: number
  /** Only with a client's key: what the request was. */
  fingerprint?: string
  /** The answer, if it was small enough. */
  sealed?: string
  /** Of work that went on outside any transaction, and whose answer was too large: what it was about, to be read again. */
  target?: string
  /** Of one that may not be kept: ids of what the request made. */
  made?: ReadonlyArray<string>
}

export const idempotencySpace = jsonSpace<[digest: Buffer], IdempotencyRecord>('request')

/** What makes two requests the same one. */
export interface RequestIdentity {
  requestId: string
  /** Who asks, such as a key's id: another principal's record never answers. */
  principal: string
  /** Method and route, such as `post /v1/projects`. */
  route: string
  /** The client's own `Idempotency-Key`, when it sent one. */
  key: string | undefined
  /** Until when the same request can come: only a signed URL knows. */
  validUntil?: number
  /** Everything else that the client sent. */
  content: Uint8Array
}

/** Each part with its length before it, so that no two lists of parts read alike. */
const digest = (...parts: readonly string[]): Buffer =>
  hash('sha256', parts.map((part) => `${part.length}:${part}`).join(''), 'buffer')

export const recordKey = ({ key, principal, route, requestId }: RequestIdentity): Buffer => {
  const known = key === undefined ? ['request', principal, route, requestId] : ['key', principal, route, key]
  return digest(...known).subarray(0, 16)
}

/** Where a transaction that is no client's request leaves its marker, under an id of its own. */
export const markerKey = (id: string): Buffer => digest('request', id).subarray(0, 16)

/** Names one attempt among all of them, of whatever instance: two may try one request at the same time. */
export const newAttempt = (): number => Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)

export const newMarker = (id: string, attempt: number, nowMs: number): IdempotencyRecord => ({
  requestId: id,
  attempt,
  expiresAt: nowMs + MARKER_TTL_MS,
})

const fingerprintOf = ({ content }: RequestIdentity): string =>
  hash('sha256', Buffer.concat([Buffer.from(`${content.length}:`), content]), 'base64url')

/** Its message is for the log. */
export class SealError extends Error {
  override readonly name = 'SealError'

  constructor() {
    super('a sealed text does not open: SEALING_KEY lacks the key that sealed it, or the text was altered')
  }
}

/** Seals stored answers, so that a secret shown once does not lie in the database in clear. AES-256-GCM. */
export class Sealer {
  private readonly sealing: KeyObject
  private readonly opening: readonly KeyObject[]
  /** Random bytes, drawn for many at a time. */
  private readonly random = Buffer.alloc(IV_BYTES * 256)
  private drawn = this.random.length

  /** @param keys 32 bytes each. The first one seals; what an earlier one has sealed can still be opened. */
  constructor(...[first, ...earlier]: readonly [Buffer, ...Buffer[]]) {
    // Keys that are bytes would be taken in anew with each use, which takes three times as long as the rest.
    this.sealing = createSecretKey(first)
    this.opening = [this.sealing, ...earlier.map((key) => createSecretKey(key))]
  }

  /** @param bound what the sealed text belongs to: it opens nowhere else. */
  seal(text: string, bound: string): string {
    const iv = this.newIv()
    const cipher = createCipheriv('aes-256-gcm', this.sealing, iv).setAAD(Buffer.from(bound))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([iv, sealed, cipher.getAuthTag()]).toString('base64url')
  }

  /** @throws {SealError} when none of our keys sealed it, it was altered, or it was sealed for something else. */
  open(sealed: string, bound: string): string {
    const bytes = Buffer.from(sealed, 'base64url')
    // Another spelling of the same bytes is altered, too.
    if (bytes.toString('base64url') !== sealed) throw new SealError()
    for (const key of this.opening) {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES))
        .setAAD(Buffer.from(bound))
        .setAuthTag(bytes.subarray(-16))
      const text = decipher.update(bytes.subarray(IV_BYTES, -16))
      try {
        return Buffer.concat([text, decipher.final()]).toString('utf8')
      } catch {
        // Another's, perhaps.
      }
    }
    throw new SealError()
  }

  private newIv(): Buffer {
    if (this.drawn === this.random.length) {
      randomFillSync(this.random)
      this.drawn = 0
    }
    this.drawn += IV_BYTES
    return this.random.subarray(this.drawn - IV_BYTES, this.drawn)
  }
}

/** Whether a record still counts at `nowMs`. */
export const isLive = (record: IdempotencyRecord | undefined, nowMs: number): record is IdempotencyRecord =>
  record !== undefined && record.expiresAt > nowMs

/** Until when a request that is carried out at `nowMs` is remembered. */
export const rememberedUntil = ({ key, validUntil = 0 }: RequestIdentity, nowMs: number): number =>
  Math.max(nowMs + (key === undefined ? MARKER_TTL_MS : ANSWER_TTL_MS), validUntil + CLOCK_SLACK_MS)

export function newRecord(
  identity: RequestIdentity,
  attempt: number,
  reply: Reply,
  seal: (text: string) => string,
  nowMs: number,
): IdempotencyRecord {
  const { requestId, key } = identity
  const { made, ...rest } = reply
  const answer = JSON.stringify(rest)
  const bytes = Buffer.byteLength(answer)
  return {
    requestId,
    attempt,
    expiresAt: rememberedUntil(identity, nowMs),
    ...(key !== undefined && { fingerprint: fingerprintOf(identity) }),
    ...(bytes <= MAX_ANSWER_BYTES && { sealed: seal(answer) }),
    ...(made !== undefined && made.length > 0 && bytes > SMALL_ANSWER_BYTES && { made }),
  }
}

/** Of work that outlives its transaction, and may go on until then. Remembered as any other, so that it begins once. */
export function runningRecord(
  identity: RequestIdentity,
  attempt: number,
  runningUntil: number,
  nowMs: number,
): IdempotencyRecord {
  const { requestId, key } = identity
  return {
    requestId,
    attempt,
    expiresAt: rememberedUntil(identity, nowMs),
    runningUntil,
    ...(key !== undefined && { fingerprint: fingerprintOf(identity) }),
  }
}

/** @throws {Problem} `idempotency_key_reuse` for another request under the same key */
export function requireSame(record: IdempotencyRecord, identity: RequestIdentity): void {
  if (record.fingerprint !== undefined && record.fingerprint !== fingerprintOf(identity)) {
    throw new Problem('idempotency_key_reuse', 'Use a new Idempotency-Key for a new request.')
  }
}

/**
 * The stored answer to a request that was here before.
 * @throws {Problem} as {@link requireSame} does; `request_in_progress` for one
 *   that has no answer yet; `conflict` when the answer was not kept, or there will be none.
 */
export function replay(
  record: IdempotencyRecord,
  identity: RequestIdentity,
  open: (sealed: string) => string,
  nowMs: number,
): Reply {
  requireSame(record, identity)
  if (record.runningUntil !== undefined && record.runningUntil <= nowMs) {
    throw new Problem(
      'conflict',
      'This request was begun and broke off: look what came of it before you ask anew.',
    )
  }
  if (record.runningUntil !== undefined) {
    const later = identity.key === undefined ? '' : ' Send it again later for its answer.'
    throw new Problem('request_in_progress', `It goes on.${later}`, {
      headers: { 'retry-after': '1' },
    })
  }
  if (record.sealed === undefined) {
    const made = record.made === undefined ? '' : ` It made ${record.made.join(', ')}.`
    throw new Problem('conflict', `This request was already carried out, and its answer was not kept.${made}`)
  }
  return JSON.parse(open(record.sealed)) as Reply
}
