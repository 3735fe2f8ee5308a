// Counts what comes of commits at the native interface, and changes nothing: what a cluster's own statistics would say.
import { FDBError, type NativeDatabase, type NativeTransaction } from '../../regional/storage/foundationdb.ts'

const NOT_COMMITTED = 1020

export class CountingDatabase implements NativeDatabase {
  commits = 0
  conflicts = 0
  private readonly engine: NativeDatabase

  constructor(engine: NativeDatabase) {
    this.engine = engine
  }

  startOver(): void {
    this.commits = 0
    this.conflicts = 0
  }

  createTransaction(): NativeTransaction {
    const tn = this.engine.createTransaction()
    const commit = tn.commit.bind(tn) as () => Promise<void>
    tn.commit = (async () => {
      try {
        await commit()
        this.commits++
      } catch (error) {
        if (error instanceof FDBError && error.code === NOT_COMMITTED) this.conflicts++
        throw error
      }
    }) as NativeTransaction['commit']
    return tn
  }

  setOption(code: number, param: string | number | Buffer | null): void {
    this.engine.setOption(code, param)
  }

  close(): void {
    this.engine.close()
  }
}
