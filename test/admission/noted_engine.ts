// The engine, and of each of its transactions what a cluster would be told.
import { TransactionOptionCode } from '../../regional/storage/foundationdb.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'

export interface NotedTransaction {
  /** Whose it is, where it is a tenant's. */
  tag: string | undefined
  /** Nobody waits for it. */
  batch: boolean
  /** It sets a watch. */
  watch: boolean
  /** Its commit is under way. */
  isCommitting: boolean
}

/** @param disk what commits wait for */
export async function openNoted(
  where: Parameters<typeof openEngine>[0],
  transactions: NotedTransaction[],
  disk: () => Promise<void> | undefined = () => undefined,
): Promise<Engine> {
  const engine = await openEngine(where)
  const create = engine.native.createTransaction.bind(engine.native)
  engine.native.createTransaction = () => {
    const tn = create()
    const noted: NotedTransaction = { tag: undefined, batch: false, watch: false, isCommitting: false }
    transactions.push(noted)
    const [setOption, watch, commit] = [tn.setOption.bind(tn), tn.watch.bind(tn), tn.commit.bind(tn)]
    tn.setOption = (code, value) => {
      if (code === TransactionOptionCode.AutoThrottleTag) noted.tag = String(value)
      if (code === TransactionOptionCode.PriorityBatch) noted.batch = true
      setOption(code, value)
    }
    tn.watch = (key, ignoreStandardErrors) => {
      noted.watch = true
      return watch(key, ignoreStandardErrors)
    }
    tn.commit = async () => {
      noted.isCommitting = true
      try {
        await disk()
        await (commit as () => Promise<void>)()
      } finally {
        noted.isCommitting = false
      }
    }
    return tn
  }
  return engine
}
