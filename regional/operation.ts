// An operation: one method of one path, declared with its schemas. From the declaration alone come the route, the
// checks of what a client sends, and the operation's page in the OpenAPI document.
import { hash } from 'node:crypto'
import { z } from 'zod'
import { utf8 } from '../shared/bytes.ts'
import { MAX_BODY_BYTES } from '../shared/headers.ts'
import { type FieldError, Problem, type ProblemCode } from '../shared/problems.ts'
import { noneOf, plainly } from './plain_errors.ts'

export type Method = 'get' | 'post' | 'patch' | 'put' | 'delete'
type Schema = z.ZodType | undefined
type Parsed<S extends Schema> = S extends z.ZodType ? z.output<S> : undefined

export interface Declaration<
  P extends Schema = Schema,
  Q extends Schema = Schema,
  B extends Schema = Schema,
> {
  method: Method
  /** As OpenAPI writes it: `/v1/projects/{id}`. */
  path: string
  summary: string
  tag: string
  params?: P | undefined
  query?: Q | undefined
  body?: B | undefined
  /** Without a schema: the body is taken as it came. Otherwise there is to be none. */
  takesBytes?: true
  /** The success answers: status → body schema, or null for an answer without a body. */
  answers: Readonly<Record<number, z.ZodType | null>>
  /** Problems that this operation has beyond those that every operation has. */
  problems?: ReadonlyArray<ProblemCode>
}

/** The path as Hono's routers write it: `/v1/projects/:id`. */
export const routePattern = (path: string): string => routedPath(path).replaceAll(/\/\{(\w+)\}/g, '/:$1')

/**
 * A request's path as the routes know it. To Hono's routers every colon begins a parameter, so that of a verb
 * (`records:batch`) becomes what no path of a request can hold: Hono ends a path at `#`, and leaves `%23` as it is. So no
 * parameter of a path may hold a colon.
 */
export const routedPath = (path: string): string => path.replace(/(\w):(\w+)$/, '$1#$2')

/** What a client sent, once it fits the declaration. */
export interface Input<P extends Schema, Q extends Schema, B extends Schema> {
  params: Parsed<P>
  query: Parsed<Q>
  body: Parsed<B>
  /** `If-Match`, as sent (RFC 9110 section 13.1.1). */
  ifMatch: string | undefined
  idempotencyKey: string | undefined
  /** Where a stream that broke off goes on. */
  lastEventId: string | undefined
  /** The body and headers as they came, for what is signed. */
  sent: { body: Uint8Array; header(name: string): string | undefined }
}

/** What an operation answers; `body` undefined means none. */
export interface Reply {
  status: number
  body?: unknown
  headers?: Record<string, string>
  /** For the audit trail: what it was done to, where neither the path nor the `id` in the body says so. No part of the answer. */
  target?: string
  /** Ids of what it made, for whoever asks again and whose answer was too large to be kept. No part of the answer. */
  made?: ReadonlyArray<string>
}

/** What a client sent, as it came. */
export interface RawInput {
  params: Readonly<Record<string, string>>
  /** What was sent more than once is a list, which no schema takes. */
  query: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  contentType: string | undefined
  body: Uint8Array
  ifMatch: string | undefined
  idempotencyKey: string | undefined
  lastEventId?: string | undefined
  /** Of the request, by its lower-case name. */
  header?(name: string): string | undefined
}

/** @returns the checked input, or the problem that the client is told once it is known to be allowed here at all. */
export function checkInput<P extends Schema, Q extends Schema, B extends Schema>(
  declaration: Declaration<P, Q, B>,
  raw: RawInput,
): Input<P, Q, B> | Problem {
  try {
    return {
      params: checkParams(declaration.params as P, raw.params),
      query: checkQuery(declaration.query as Q, raw.query, declaration.method),
      body: readBody(declaration, raw),
      ifMatch: raw.ifMatch,
      idempotencyKey: checkIdempotencyKey(raw.idempotencyKey),
      lastEventId: raw.lastEventId,
      sent: { body: raw.body, header: (name) => raw.header?.(name) },
    }
  } catch (problem) {
    if (problem instanceof Problem) return problem
    throw problem
  }
}

function readBody<B extends Schema>(declaration: Declaration<Schema, Schema, B>, raw: RawInput): Parsed<B> {
  if (raw.body.length === 0 && mayLackBody(declaration)) return checkBody(declaration.body as B, EMPTY)
  // What is said to an operation that takes no body is unknown to it, as a field is to one that takes another. What reads a
  // resource is given the requests that change it, too.
  const { method, body, takesBytes } = declaration
  const takesNone = method !== 'get' && body === undefined && takesBytes !== true
  if (takesNone && raw.body.length > 0 && isJson(raw.contentType)) checkBody(NO_FIELDS, raw)
  return checkBody(declaration.body as B, raw)
}

const NO_FIELDS = z.strictObject({})

function check<S extends Schema>(schema: S, value: unknown, code: ProblemCode, detail: string): Parsed<S> {
  if (schema === undefined) return undefined as Parsed<S>
  const parsed = schema.safeParse(value, { error: plainly })
  if (!parsed.success) throw new Problem(code, detail, { errors: fieldErrors(parsed.error) })
  return parsed.data as Parsed<S>
}

/**
 * What an operation does not know is refused, as in a body: whoever says `?dryRun=true` means something by it. Reading one thing
 * does it no harm.
 */
function checkQuery<S extends Schema>(
  schema: S,
  query: RawInput['query'],
  method: Declaration['method'],
): Parsed<S> {
  if (schema === undefined && method === 'get') return undefined as Parsed<S>
  // No schema sees that one.
  if (Object.hasOwn(query, '__proto__')) {
    const errors = [{ pointer: '/__proto__', detail: 'is no parameter' }]
    throw new Problem('malformed_request', 'The query does not fit.', { errors })
  }
  const given = check(schema ?? NO_FIELDS, query, 'malformed_request', 'The query does not fit.')
  return (schema === undefined ? undefined : given) as Parsed<S>
}

/** An id that cannot exist is answered as one that does not. */
function checkParams<S extends Schema>(schema: S, params: unknown): Parsed<S> {
  if (schema === undefined) return undefined as Parsed<S>
  const parsed = schema.safeParse(params)
  if (!parsed.success) throw notFound()
  return parsed.data as Parsed<S>
}

/**
 * Whether no body says as much as `{}` does. Not in a PUT: what its body does not name is taken away, and must not be because
 * the body got lost.
 */
export const mayLackBody = ({ method, body }: Pick<Declaration, 'method' | 'body'>): boolean =>
  method === 'post' && body?.safeParse({}).success === true

type SentBody = Pick<RawInput, 'body' | 'contentType' | 'header'>

const EMPTY: SentBody = { body: utf8('{}'), contentType: 'application/json' }

/** @throws {Problem} for a body that does not fit */
export function checkBody<S extends Schema>(schema: S, { body, contentType, header }: SentBody): Parsed<S> {
  if (schema === undefined) return undefined as Parsed<S>
  if (body.length > MAX_BODY_BYTES) {
    throw new Problem('body_too_large', `A body has at most ${MAX_BODY_BYTES} bytes.`)
  }
  if (!isJson(contentType)) {
    throw new Problem('unsupported_media_type', 'Send the body as application/json.', {
      headers: { accept: 'application/json' },
    })
  }
  const coding = header?.('content-encoding') ?? 'identity'
  if (coding.trim().toLowerCase() !== 'identity') {
    throw new Problem('unsupported_media_type', 'Send the body as it is, without a Content-Encoding.', {
      // RFC 9110 section 12.5.3.
      headers: { 'accept-encoding': 'identity' },
    })
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw new Problem('malformed_json', 'The body is not JSON in UTF-8.')
  }
  return check(schema, value, 'validation_failed', 'The body does not fit its schema. `errors` says where.')
}

const isJson = (contentType: string | undefined): boolean =>
  /^application\/([\w.-]+\+)?json$/i.test(contentType?.split(';')[0]?.trim() ?? '')

function checkIdempotencyKey(key: string | undefined): string | undefined {
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new Problem('malformed_request', 'An Idempotency-Key is 1 to 255 visible ASCII characters.')
}

const fieldErrors = (error: z.ZodError): FieldError[] =>
  error.issues
    .slice(0, 20)
    .flatMap(within)
    .flatMap(({ path, message, ...issue }) => {
      const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path]
      return paths.map((items) => ({ pointer: jsonPointer(items), detail: message }))
    })

type Issue = z.core.$ZodIssue

/**
 * Of a value that fits none of several shapes: what is wrong with it as the one that it comes closest to. Of the name of an
 * entry: what is wrong with the name.
 */
function within(issue: Issue): Issue[] {
  if (issue.code === 'invalid_key') return issue.issues.map((each) => ({ ...each, path: issue.path }))
  if (issue.code !== 'invalid_union') return [issue]
  const closest = issue.errors.toSorted((a, b) => distance(a) - distance(b))[0]
  if (closest !== undefined) {
    return closest.flatMap((each) => within({ ...each, path: [...issue.path, ...each.path] }))
  }
  const options = 'options' in issue ? issue.options?.filter((option) => option !== undefined) : undefined
  if (options === undefined) return [issue]
  return [{ ...issue, message: noneOf(options) }]
}

/** A shape of another JSON type is further away than any of the same. */
const distance = (issues: ReadonlyArray<Issue>): number =>
  issues.reduce((sum, issue) => {
    if (issue.code === 'unrecognized_keys') return sum + issue.keys.length
    return sum + (issue.code === 'invalid_type' && issue.path.length === 0 ? 1_000 : 1)
  }, 0)

/** RFC 6901. */
export const jsonPointer = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((item) => `/${String(item).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

/** The one answer for a body that says something that can't be. */
export const unfitBody = (errors: FieldError[]): Problem =>
  new Problem('validation_failed', 'The body does not fit its schema. `errors` says where.', { errors })

/** The one answer for what is not there, and for what is there but another tenant's. */
export const notFound = (): Problem => new Problem('not_found', 'There is no such resource.')

/** The ETag of what keeps a version of its own. */
export const versionTag = ({ version }: { version: number }): string => `"${version}"`

/** The ETag of what keeps no version of its own: made of all that is shown of it. */
export const tagOf = (shown: unknown): string =>
  `"${hash('sha256', JSON.stringify(shown), 'base64url').slice(0, 22)}"`

/** Whether it reads one thing by itself: one that its path names, or the organisation. */
export const showsOne = ({ method, path }: Pick<Declaration, 'method' | 'path'>): boolean =>
  method === 'get' && (path.endsWith('}') || path === '/v1/tenant')

/** What is read by itself always has an ETag: its own, or one of what is shown. */
export function tagged(declaration: Pick<Declaration, 'method' | 'path'>, reply: Reply): Reply {
  if (!showsOne(declaration) || reply.headers?.etag !== undefined) return reply
  return { ...reply, headers: { ...reply.headers, etag: tagOf(reply.body) } }
}

/**
 * Whether the reply can be sent, asked while what it tells of can still be left undone.
 * @throws for one that the operation does not declare, or that no HTTP answer can be
 */
export function checkReply({ method, path, answers }: Declaration, reply: Reply): Reply {
  const { status, body, headers = {} } = reply
  const declared = answers[status]
  if (declared === undefined) throw new Error(`${method} ${path} answered ${status}, and does not declare it`)
  if (declared === null && body !== undefined) {
    throw new Error(`${method} ${path} answered ${status} with a body, and declares none`)
  }
  checkHeaders(headers)
  return reply
}

/** @throws for what no header can be. The value is not told: it may be a client's. */
export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers({ [name]: value })
    } catch {
      throw new Error(`the header ${name} of an answer is no header`)
    }
  }
}

/**
 * A tag that is weak counts as well, other than in RFC 9110 section 13.1.1: what compresses an answer on its way makes it so, and
 * whoever read that answer could change nothing.
 * @param etag of what is there; undefined where nothing is, which not even `*` matches
 * @throws {Problem} `precondition_failed` when `If-Match` was sent and names another version
 */
export function requireMatch(ifMatch: string | undefined, etag: string | undefined): void {
  if (ifMatch === undefined) return
  if (etag === undefined) throw new Problem('precondition_failed', 'There is no such resource to be changed.')
  if (names(ifMatch, etag)) return
  throw new Problem(
    'precondition_failed',
    ifMatch.includes('"')
      ? 'The resource has changed since you read it. Read it again.'
      : 'If-Match has no ETag in it: that stands in quotation marks, such as "3".',
  )
}

/**
 * @param etag of what is there
 * @throws {Problem} `precondition_failed` when `If-None-Match` was sent with a change and names what is there (RFC 9110 section
 *   13.1.2)
 */
export function requireNoMatch(ifNoneMatch: string | undefined, etag: string): void {
  if (ifNoneMatch === undefined || !names(ifNoneMatch, etag)) return
  throw new Problem('precondition_failed', 'There is such a resource.')
}

/** What a reader has already, as `If-None-Match` says, is not sent again. */
export function unlessKnown(reply: Reply, ifNoneMatch: string | undefined): Reply {
  const { status, headers } = reply
  if (status !== 200 || ifNoneMatch === undefined || headers?.etag === undefined) return reply
  return names(ifNoneMatch, headers.etag) ? { status: 304, headers } : reply
}

/** Whether a list of tags, or `*`, names this one. Proxies on the way weaken tags (`W/`); ours are strong. */
const names = (tags: string, etag: string): boolean =>
  tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\/(?=")/, '') === etag)

/** `{ data, nextCursor }` of a list. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ data: z.array(item), nextCursor: z.string().nullable() })

/** How many a page has at most: digits alone, for `1e1` and ` 1` are no integers to whoever reads the OpenAPI document. */
export const pageLimit = z
  .preprocess(
    (text) => (typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : text),
    z
      .int({
        error: ({ code }) => (code === 'invalid_type' ? 'is no whole number in decimal digits' : undefined),
      })
      .min(1)
      .max(100),
  )
  .default(25)

/** The query that every list takes. */
export const pageQuery = z.strictObject({
  limit: pageLimit,
  cursor: z.string().max(2048).optional(),
})
