// JSON Schema (2020-12) of a tenant. A schema is a program of a stranger's: it may be written to take forever (patterns
// that backtrack, references that double at every level). So it is bounded in size, refers only to itself, and both its
// compilation and every check run against a clock that stops them, within the time that its tenant has (schema_time.ts).
import { setFlagsFromString } from 'node:v8'
import { Ajv2020, type ErrorObject, str, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import { type FieldError, Problem } from '../../../shared/problems.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
import { jsonPointer } from '../../tenancy/service.ts'
import { CompiledSchemas } from './compiled_schemas.ts'
import { type Document, isDocument } from './document.ts'
import { multipleOf } from './multiple_of.ts'
import { type Run, SchemaTime, threadMs } from './schema_time.ts'

const MAX_SCHEMA_BYTES = 32 * 1024
/** No clock stops V8 while it reads a regular expression, or compiles one: only so long may one be. */
const MAX_PATTERN_LENGTH = 500
/** What one that is compiled takes in memory at least, however short it is. */
const LEAST_COMPILED_BYTES = 2 * 1024
const MAX_ERRORS = 20
/** What is compiled is kept, so this is seldom needed. */
const COMPILE_MS = 200
/** For one that was taken: a process that is just starting is slower, and older versions took more. */
const COMPILE_AGAIN_MS = 500
const CHECK_MS = 50
/** Of all checks of one request. */
const REQUEST_MS = 100
const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

/** Where a schema belongs; the tenant is part of the key of everything that is kept. */
export interface SchemaOwner {
  tenant: TenantNumber
  uid: string
  version: number
}

export type Verdict =
  | { fits: true }
  | { fits: false; errors: FieldError[] }
  | { fits: 'too_slow' }
  /** The checks of the request have taken too long together. */
  | { fits: 'too_much' }
  /** The tenant's schemas have; it may be tried again in so many seconds. */
  | { fits: 'not_now'; waitS: number }
  /** The schema refers to itself without ever coming to a part of the document. */
  | { fits: 'endless' }

/** What the checks of one request have taken so far. */
export interface ChecksOfRequest {
  ms: number
}

export class Schemas {
  private readonly time: SchemaTime
  private readonly compiled = new CompiledSchemas<ValidateFunction>()
  /** Knows the schema of schemas. Made when it is first needed: many regions never do. */
  private standard: Ajv2020 | undefined

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.time = new SchemaTime(now)
    compilePatternsPlainly()
  }

  /**
   * @throws {Problem} `validation_failed` for what is no schema, or may not be one here; `rate_limited` when the tenant's
   *   schemas have taken too much time
   */
  accept(tenant: TenantNumber, schema: Document): void {
    const faults = faultsOf(schema)
    if (faults.length > 0) throw refused(faults)
    const compiled = this.compile(tenant, COMPILE_MS, schema)
    if (compiled.ended === 'stopped') {
      throw refused([{ pointer: '/schema', detail: 'takes too long to compile' }])
    }
    if (compiled.ended === 'used_up') throw timeUsedUp(compiled.waitS)
  }

  /**
   * @param load reads the schema, where this process does not have it yet
   * @param request what this check's time is added to
   */
  async check(
    owner: SchemaOwner,
    load: () => Promise<object | undefined>,
    document: Document,
    request: ChecksOfRequest,
  ): Promise<Verdict> {
    const compiled = await this.compiledOf(owner, load)
    if (compiled.ended !== 'done') return unchecked(compiled)
    const validate = compiled.value
    const leftMs = REQUEST_MS - request.ms
    if (leftMs <= 0) return { fits: 'too_much' }
    const fromMs = threadMs()
    try {
      const outcome = this.time.run(owner.tenant, Math.min(CHECK_MS, leftMs), () => validate(document))
      if (outcome.ended === 'stopped' && leftMs < CHECK_MS) return { fits: 'too_much' }
      if (outcome.ended !== 'done') return unchecked(outcome)
      if (outcome.value === true) return { fits: true }
      return { fits: false, errors: (validate.errors ?? []).slice(0, MAX_ERRORS).map(fieldError) }
    } catch (error) {
      // The stack has run out.
      if (error instanceof RangeError) return { fits: 'endless' }
      throw error
    } finally {
      request.ms += threadMs() - fromMs
      // They may hold on to the document.
      validate.errors = null
    }
  }

  private async compiledOf(
    { tenant, uid, version }: SchemaOwner,
    load: () => Promise<object | undefined>,
  ): Promise<Run<ValidateFunction>> {
    const name = `${uid} ${version}`
    const kept = this.compiled.get(tenant, name)
    if (kept !== undefined) return { ended: 'done', value: kept }
    const schema = await load()
    if (schema === undefined) throw new Error('a collection with a schema has one')
    const compiled = this.compile(tenant, COMPILE_AGAIN_MS, schema)
    if (compiled.ended === 'done') {
      const bytes = LEAST_COMPILED_BYTES + Buffer.byteLength(JSON.stringify(schema))
      this.compiled.set(tenant, name, compiled.value, bytes)
    }
    return compiled
  }

  /** @throws {Problem} `validation_failed` for what is no schema */
  private compile(tenant: TenantNumber, withinMs: number, schema: object): Run<ValidateFunction> {
    this.standard ??= standardAjv()
    const { standard } = this
    try {
      return this.time.run(tenant, withinMs, () => {
        // Throws; only the schema of schemas that were not JSON Schema's would answer with a promise.
        void standard.validateSchema(schema, true)
        return newAjv({ meta: false, validateSchema: false })
          .addFormat('regex', (text) => text.length <= MAX_PATTERN_LENGTH && isRegExp(text))
          .compile(withoutNullable(schema))
      })
    } catch (error) {
      // Ajv says what it does not understand in a plain Error.
      const detail = error instanceof Error ? error.message.slice(0, 500) : 'is not understood'
      throw refused([{ pointer: '/schema', detail }])
    } finally {
      standard.errors = null
    }
  }
}

const unchecked = (outcome: Exclude<Run<never>, { ended: 'done' }>): Verdict =>
  outcome.ended === 'stopped' ? { fits: 'too_slow' } : { fits: 'not_now', waitS: outcome.waitS }

/** Nothing is wrong with what was sent. */
export const timeUsedUp = (waitS: number): Problem =>
  new Problem(
    'rate_limited',
    `The organisation’s schemas have taken too much time. Try again in ${waitS} s.`,
    { headers: { 'retry-after': `${waitS}` } },
  )

/**
 * For the whole process, before the first pattern of a tenant's is compiled: optimised, one of a few hundred characters
 * (`a?a?a?…`) takes V8 minutes, and no clock stops that.
 */
const compilePatternsPlainly = (): void => setFlagsFromString('--no-regexp-optimization')

/**
 * Finds a pattern anywhere in a text, looking from each place on by itself: where V8 does that, it prepares its search by
 * all characters that may come first, which takes seconds for `\p{L}\p{L}…`, and no clock stops that.
 */
function regExpOf(pattern: string, flags: string): RegExp {
  // Throws for what is a pattern only within the parentheses.
  void new RegExp(pattern, flags)
  return new RegExp(`^[^]*?(?:${pattern})`, flags)
}
// What Ajv would write into code that is kept elsewhere, which none is.
regExpOf.code = 'new RegExp'

/**
 * A new one for each schema: it keeps whatever it has compiled for good, and the names in it. One that need not know the
 * schema of schemas costs little.
 */
function newAjv(options: { meta?: false; validateSchema?: false } = {}): Ajv2020 {
  const ajv = new Ajv2020({
    ...options,
    allErrors: true,
    // Unknown words are annotations, as the standard has it.
    strict: false,
    validateFormats: true,
    inlineRefs: false,
    // A document's fields are what it has itself: not `constructor`, which every object of JavaScript's has.
    ownProperties: true,
    code: { regExp: regExpOf },
    // The compiler's time and the size of its code are the tenant's to spoil otherwise.
    loopRequired: 20,
    loopEnum: 20,
    logger: false,
  })
  // Its own word of an older draft, which it refuses; by now it says nothing.
  ajv.removeKeyword('id')
  ajv.removeKeyword('multipleOf').addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    compile: multipleOf,
    error: { message: ({ schemaCode }) => str`must be multiple of ${schemaCode}` },
  })
  addFormats.default(ajv, { mode: 'fast' })
  // The fast ones take a 31st of February.
  for (const name of ['date', 'date-time', 'time'] as const) ajv.addFormat(name, fullFormats[name])
  return ajv
}

/** To Ajv `nullable` is a part of `type`; to the standard it says nothing. */
function withoutNullable(schema: object): object {
  const copied = (value: unknown, areNames = false): unknown => {
    if (Array.isArray(value)) return value.map((each) => copied(each))
    if (!isDocument(value)) return value
    const words = Object.entries(value).filter(([word]) => areNames || word !== 'nullable')
    return Object.fromEntries(
      words.map(([word, inner]) => [
        word,
        !areNames && OF_DOCUMENTS.has(word) ? inner : copied(inner, !areNames && OF_NAMES.has(word)),
      ]),
    )
  }
  return copied(schema) as object
}

function isRegExp(text: string): boolean {
  try {
    void new RegExp(text, 'u')
    return true
  } catch {
    return false
  }
}

/** Shared by all: it compiles no tenant's schema, so nothing of one stays in it. */
function standardAjv(): Ajv2020 {
  const ajv = newAjv()
  // Compiles the schema of schemas, which no tenant's time should be taken for.
  ajv.compile({ type: 'object' })
  return ajv
}

/** What these hold are documents, not schemas. */
const OF_DOCUMENTS = new Set(['const', 'enum', 'default', 'examples'])
/** What these hold is schemas by name, and any word may be a name. */
const OF_NAMES = new Set([
  'properties',
  'patternProperties',
  'dependentSchemas',
  'dependencies',
  '$defs',
  'definitions',
])

/** What a schema may not have here, whatever the standard says. */
function faultsOf(schema: Document): FieldError[] {
  if (Buffer.byteLength(JSON.stringify(schema)) > MAX_SCHEMA_BYTES) {
    return [{ pointer: '/schema', detail: `has more than ${MAX_SCHEMA_BYTES} bytes` }]
  }
  const faults: FieldError[] = []
  const visit = (value: unknown, path: string[], areNames = false): void => {
    if (Array.isArray(value)) for (const [i, each] of value.entries()) visit(each, [...path, `${i}`])
    if (!isDocument(value)) return
    for (const [word, inner] of Object.entries(value)) {
      const at = [...path, word]
      const fault = areNames ? nameFault(word) : wordFault(word, inner, path.length === 0)
      if (fault !== undefined) faults.push({ pointer: jsonPointer(['schema', ...at]), detail: fault })
      if (areNames || !OF_DOCUMENTS.has(word)) visit(inner, at, !areNames && OF_NAMES.has(word))
    }
  }
  visit(schema, [])
  return faults.slice(0, MAX_ERRORS)
}

/** Ajv passes over it. */
const nameFault = (name: string): string | undefined =>
  name === '__proto__' ? 'is a name that no part of a schema may have here' : undefined

function wordFault(word: string, value: unknown, atRoot: boolean): string | undefined {
  if (word === '$async') return 'is not of JSON Schema'
  if (word === '$id' && typeof value === 'string') return 'is not supported: a schema stands for itself'
  if ((word === '$ref' || word === '$dynamicRef') && typeof value === 'string' && !value.startsWith('#')) {
    return 'refers to another document; only references within the schema (#…) are followed'
  }
  if (/^\$(dynamicA|a)nchor$|^\$dynamicRef$/.test(word) && typeof value === 'string') {
    // Ajv keeps these by their names in an object, which has such members of its own.
    if (value.replace(/^#/, '') in Object.prototype) return 'is a name that no part of a schema may have here'
  }
  if (word === 'dependentRequired' && isDocument(value) && Object.hasOwn(value, '__proto__')) {
    return 'names __proto__, which is not supported here'
  }
  if (word === 'pattern' && typeof value === 'string' && value.length > MAX_PATTERN_LENGTH) {
    return `has more than ${MAX_PATTERN_LENGTH} characters`
  }
  if (word === 'patternProperties' && isDocument(value)) {
    const isLong = Object.keys(value).some((pattern) => pattern.length > MAX_PATTERN_LENGTH)
    if (isLong) return `has a pattern of more than ${MAX_PATTERN_LENGTH} characters`
  }
  if (word === '$schema' && typeof value === 'string' && (!atRoot || value.replace(/#$/, '') !== DIALECT)) {
    return `is not ${DIALECT}`
  }
  return undefined
}

const refused = (errors: FieldError[]): Problem =>
  new Problem('validation_failed', 'The schema is not one that can be used. `errors` says why.', { errors })

/** Where in the body: a missing or unknown field is named itself. */
function fieldError({ instancePath, message, params }: ErrorObject): FieldError {
  const own: unknown = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty
  const pointer = `/data${instancePath}${typeof own === 'string' ? jsonPointer([own]) : ''}`
  return { pointer, detail: message ?? 'does not fit' }
}
