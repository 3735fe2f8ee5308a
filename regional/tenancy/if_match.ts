// `If-Match` of what is done to one resource, such as `POST …/runs/{id}/cancel`: heeded by what reads that resource, in the
// same transaction. An operation that declares `precondition_failed` heeds it by itself.
import type { Declaration, RawInput } from '../operation.ts'
import { requireMatch } from '../operation.ts'
import type { Service, TenantOperation, TransactionOperation } from './service.ts'
import type { TenantTransaction } from './tenant_transaction.ts'

/** The service, whose operations heed `If-Match` wherever their path names one resource that can be read. */
export const heedingIfMatch = (service: Service): Service => ({
  ...service,
  operations: service.operations.map((operation) => {
    const reader = readerOf(operation.declaration, service.operations)
    return reader === undefined ? operation : heeding(operation, reader)
  }),
})

/** A verb of one resource: not a list below it, in which something is made. */
const VERB = /^(.*\})\/[a-z-]+$/

function readerOf(
  { method, path, problems = [] }: Declaration,
  operations: ReadonlyArray<TenantOperation>,
): TransactionOperation | undefined {
  if (method !== 'post' || problems.includes('precondition_failed')) return undefined
  const readable = operations
    .filter((operation) => operation.answers === 'in_transaction')
    .filter(({ declaration }) => declaration.method === 'get')
  if (readable.some(({ declaration }) => declaration.path === path)) return undefined
  const resource = VERB.exec(path)?.[1]
  return readable.find(({ declaration }) => declaration.path === resource)
}

function heeding(operation: TenantOperation, reader: TransactionOperation): TenantOperation {
  const { problems = [], ...declaration } = operation.declaration
  const requireSame = async (raw: RawInput, tx: TenantTransaction): Promise<void> => {
    if (raw.ifMatch === undefined) return
    const { headers } = await reader.prepare({ ...raw, query: {} })(tx)
    requireMatch(raw.ifMatch, headers?.etag)
  }
  const declared = { ...declaration, problems: [...problems, 'precondition_failed' as const] }
  if (operation.answers === 'in_transaction') {
    return {
      ...operation,
      declaration: declared,
      prepare(raw) {
        const work = operation.prepare(raw)
        return async (tx) => {
          await requireSame(raw, tx)
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
          await requireSame(raw, tx)
          return work.begin(tx)
        },
      }
    },
  }
}
