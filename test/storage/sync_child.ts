// The process whose system calls are watched: three clients commit at once; a line is printed, unbuffered, for
// each acknowledged commit.
import { writeSync } from 'node:fs'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'

const directory = process.argv[2]
if (!directory) throw new Error('no directory given')
const engine = await openEmbedded({ dataDir: directory })
const db = engine.database()
await Promise.all(
  ['a', 'b', 'c'].map(async (client) => {
    for (let n = 1; n <= 20; n++) {
      const tn = db.createTransaction()
      tn.set(client, `${n}`)
      tn.set(`${client}/${n}`, Buffer.alloc(n * 300, n))
      await tn.commit()
      writeSync(1, `acknowledged ${client} ${n}\n`)
    }
  }),
)
// Without a close: nothing is copied into the file, the log has it all.
process.kill(process.pid, 'SIGKILL')
