// JSON Schema (2020-12) of a tenant. A schema is a program of a stranger's: it may be written to take forever (patterns
// that backtrack, references that double at every level). So it is bounded in size, refers only to itself, and both its
// compilation and every check run against a clock that stops them. A tenant whose schema was stopped gets less time for
// a while, so that it can't make a habit of holding up everybody else.
import { Script } from 'node:vm'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { type FieldError, Problem } from '../../../shared/problems.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
import { noteBusy } from '../../observe/request.ts'
import { type Document, isDocument, jsonPointer } from './document.ts'

const MAX_SCHEMA_BYTES = 32 * 1024
const MAX_COMPILED_BYTES = 2 * 1024 * 1024
/** What one that is compiled takes in memory at least, however short it is. */
const LEAST_COMPILED_BYTES = 2 * 1024
const MAX_ERRORS = 20
/** What is compiled is kept, so this is seldom needed. */
const COMPILE_MS = 500
const CHECK_MS = 50
/** For the checks of a tenant that was stopped a short while ago; it gets nothing compiled meanwhile. */
const PUNISHED_MS = 5
const PUNISHMENT_MS = 10_000
const MAX_PUNISHED = 10_000
/** Of one piece of work, while others have the processor. */
const MAX_TRIES = 5
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
  /** The schema refers to itself without ever coming to a part of the document. */
  | { fits: 'endless' }

interface Compiled {
  validate: ValidateFunction
  /** What it takes in memory is some multiple of that. */
  bytes: number
}

/** Compiled schemas, the ones that were used last. */
export class Schemas {
  private readonly now: () => number
  private readonly compiled = new Map<string, Compiled>()
  private compiledBytes = 0
  private readonly punishedUntil = new Map<TenantNumber, number>()
  /** Knows the schema of schemas. Made when it is first needed: many regions never do. */
  private standard: Ajv2020 | undefined

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.now = now
  }

  /** @throws {Problem} `validation_failed` for what is no schema, or may not be one here */
  accept(tenant: TenantNumber, schema: Document): void {
    const faults = faultsOf(schema)
    if (faults.length > 0) throw refused(faults)
    const compiled = this.compile(tenant, schema)
    if (compiled instanceof Problem) throw compiled
  }

  /** @param load reads the schema, where this process does not have it yet */
  async check(
    owner: SchemaOwner,
    load: () => Promise<object | undefined>,
    document: Document,
  ): Promise<Verdict> {
    const key = `${owner.tenant} ${owner.uid} ${owner.version}`
    let compiled = this.compiled.get(key)
    if (compiled === undefined) {
      const schema = await load()
      if (schema === undefined) throw new Error('a collection with a schema has one')
      const validate = this.compile(owner.tenant, schema)
      if (validate instanceof Problem) return { fits: 'too_slow' }
      compiled = { validate, bytes: LEAST_COMPILED_BYTES + Buffer.byteLength(JSON.stringify(schema)) }
    }
    this.keep(key, compiled)
    const { validate } = compiled
    const withinMs = this.isPunished(owner.tenant) ? PUNISHED_MS : CHECK_MS
    try {
      const outcome = this.timed(owner.tenant, withinMs, () => validate(document))
      if (outcome === undefined) return { fits: 'too_slow' }
      if (outcome.value === true) return { fits: true }
      return { fits: false, errors: (validate.errors ?? []).slice(0, MAX_ERRORS).map(fieldError) }
    } catch (error) {
      // The stack has run out.
      if (error instanceof RangeError) return { fits: 'endless' }
      throw error
    } finally {
      // They may hold on to the document.
      validate.errors = null
    }
  }

  /** As the one that was used last; those that were not used for longest go. */
  private keep(key: string, compiled: Compiled): void {
    const before = this.compiled.get(key)
    this.compiled.delete(key)
    this.compiled.set(key, compiled)
    this.compiledBytes += compiled.bytes - (before?.bytes ?? 0)
    for (const [oldest, { bytes }] of this.compiled) {
      if (this.compiledBytes <= MAX_COMPILED_BYTES) return
      this.compiled.delete(oldest)
      this.compiledBytes -= bytes
    }
  }

  private compile(tenant: TenantNumber, schema: object): ValidateFunction | Problem {
    if (this.isPunished(tenant)) return tooSlow()
    this.standard ??= standardAjv()
    const { standard } = this
    try {
      const outcome = this.timed(tenant, COMPILE_MS, () => {
        // Throws; only the schema of schemas that were not JSON Schema's would answer with a promise.
        void standard.validateSchema(schema, true)
        return newAjv({ meta: false, validateSchema: false }).compile(schema)
      })
      return outcome?.value ?? tooSlow()
    } catch (error) {
      // Ajv says what it does not understand in a plain Error.
      const detail = error instanceof Error ? error.message.slice(0, 500) : 'is not understood'
      return refused([{ pointer: '/schema', detail }])
    } finally {
      standard.errors = null
    }
  }

  private isPunished(tenant: TenantNumber): boolean {
    return (this.punishedUntil.get(tenant) ?? 0) > this.now()
  }

  /**
   * Runs work that may be done again. The clock that stops it is the wall's; on a busy machine that runs out while others
   * have the processor, which is not the tenant's fault, so what counts is this thread's own time.
   * @returns undefined when it was stopped
   */
  private timed<T>(tenant: TenantNumber, withinMs: number, work: () => T): { value: T } | undefined {
    for (let tries = 0, usedMs = 0; tries < MAX_TRIES && usedMs < withinMs; tries++) {
      const start = process.threadCpuUsage()
      const fromMs = performance.now()
      try {
        return { value: withinTime(withinMs, work) }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
        const { user, system } = process.threadCpuUsage(start)
        // A watch's own tick makes no second try.
        usedMs += (user + system) / 1_000 + 1
      } finally {
        noteBusy(performance.now() - fromMs)
      }
    }
    if (this.punishedUntil.size >= MAX_PUNISHED) this.punishedUntil.clear()
    this.punishedUntil.set(tenant, this.now() + PUNISHMENT_MS)
    return undefined
  }
}

const tooSlow = (): Problem => refused([{ pointer: '/schema', detail: 'takes too long to compile' }])

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
    // The compiler's time and the size of its code are the tenant's to spoil otherwise.
    loopRequired: 20,
    loopEnum: 20,
    logger: false,
  })
  addFormats.default(ajv, { mode: 'fast' })
  return ajv
}

/** Shared by all: it compiles no tenant's schema, so nothing of one stays in it. */
function standardAjv(): Ajv2020 {
  const ajv = newAjv()
  // Compiles the schema of schemas, which no tenant's time should be taken for.
  ajv.compile({ type: 'object' })
  return ajv
}

const run = new Script('globalThis[Symbol.for("coditect.timed")]()')
const TIMED = Symbol.for('coditect.timed')

/** Runs `work`, which does not wait for anything, and stops it after so many milliseconds wherever it is. */
function withinTime<T>(timeout: number, work: () => T): T {
  const place = globalThis as { [TIMED]?: () => unknown }
  place[TIMED] = work
  try {
    return run.runInThisContext({ timeout }) as T
  } finally {
    delete place[TIMED]
  }
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
      const fault = areNames ? undefined : wordFault(word, inner, path.length === 0)
      if (fault !== undefined) faults.push({ pointer: jsonPointer(['schema', ...at]), detail: fault })
      if (areNames || !OF_DOCUMENTS.has(word)) visit(inner, at, !areNames && OF_NAMES.has(word))
    }
  }
  visit(schema, [])
  return faults.slice(0, MAX_ERRORS)
}

function wordFault(word: string, value: unknown, atRoot: boolean): string | undefined {
  if (word === '$async') return 'is not of JSON Schema'
  if (word === '$id' && typeof value === 'string') return 'is not supported: a schema stands for itself'
  if ((word === '$ref' || word === '$dynamicRef') && typeof value === 'string' && !value.startsWith('#')) {
    return 'refers to another document; only references within the schema (#…) are followed'
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
