// Preconditions of a change, heeded by what reads the resource that it is done to, in the same transaction: `If-None-Match`, and
// `If-Match` of a verb such as `POST …/runs/{id}/cancel`. An operation that declares `precondition_failed` heeds `If-Match` by
// itself.
import { Problem, type ProblemCode } from '../../shared/problems.ts'
import { type Declaration, type RawInput, requireMatch, requireNoMatch } from '../operation.ts'
import type { Service, TenantOperation, TransactionOperation } from './service.ts'
import type { TenantTransaction } from './tenant_transaction.ts'

/** The service, whose operations heed preconditions wherever their path names one resource that can be read. */
export const heedingPreconditions = (service: Service): Service => ({
  ...service,
  operations: service.operations.map((operation) => {
    const reader = readerOf(operation.declaration, service.operations)
    return reader === undefined ? operation : heeding(operation, reader)
  }),
})

/** A verb of one resource: not a list below it, in which something is made. */
const VERB = /^(.*\})\/[a-z-]+$/

function readerOf(
  { method, path }: Declaration,
  operations: ReadonlyArray<TenantOperation>,
): TransactionOperation | undefined {
  if (method === 'get') return undefined
  const readable = operations
    .filter((operation) => operation.answers === 'in_transaction')
    .filter(({ declaration }) => declaration.method === 'get')
  const at = (resource: string) => readable.find(({ declaration }) => declaration.path === resource)
  const own = at(path)
  if (own !== undefined) return path.endsWith('}') ? own : undefined
  return at(VERB.exec(path)?.[1] ?? '')
}

const FAILED: ProblemCode = 'precondition_failed'

function heeding(operation: TenantOperation, reader: TransactionOperation): TenantOperation {
  const { problems = [], ...declaration } = operation.declaration
  const heedsIfMatch = problems.includes(FAILED)
  const require = async (raw: RawInput, tx: TenantTransaction): Promise<void> => {
    const ifMatch = heedsIfMatch ? undefined : raw.ifMatch
    const ifNoneMatch = raw.header?.('if-none-match')
    if (ifMatch === undefined && ifNoneMatch === undefined) return
    const etag = await tagAt(reader, raw, tx)
    if (etag === undefined) return
    requireMatch(ifMatch, etag)
    requireNoMatch(ifNoneMatch, etag)
  }
  const declared = { ...declaration, problems: heedsIfMatch ? problems : [...problems, FAILED] }
  if (operation.answers === 'in_transaction') {
    return {
      ...operation,
      declaration: declared,
      prepare(raw) {
        const work = operation.prepare(raw)
        return async (tx) => {
          await require(raw, tx)
          return work(tx)
        }
      },
    }
  }
  return {
    ...operation,
    declaration: declared,
    prepare(raw) {
      const work = operation.prepare(raw)
      return {
        ...work,
        async begin(tx) {
          await require(raw, tx)
          return work.begin(tx)
        },
      }
    },
  }
}

/** @returns undefined where there is nothing: what is to be done says what that means */
async function tagAt(
  reader: TransactionOperation,
  raw: RawInput,
  tx: TenantTransaction,
): Promise<string | undefined> {
  try {
    return (await reader.prepare({ ...raw, query: {} })(tx)).headers?.etag
  } catch (problem) {
    if (problem instanceof Problem && problem.code === 'not_found') return undefined
    throw problem
  }
}
