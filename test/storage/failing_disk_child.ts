// Runs where the disk fails: writes until a write fails, says what was acknowledged, what failed and how, and what the
// engine answers after that.
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'

const directory = process.argv[2]
if (!directory) throw new Error('no directory given')
const engine = await openEmbedded({
  dataDir: directory,
  thresholds: { foldEntries: 5, checkpointPages: 200 },
})
const db = engine.database()

async function set(id: number): Promise<void> {
  const tn = db.createTransaction()
  tn.set(`k${id}`, Buffer.alloc(20_000, id))
  await tn.commit()
}
const codeOf = (error: unknown): number => (error as { code: number }).code

const acknowledged: number[] = []
const failed: { id: number; code: number }[] = []
for (let id = 0; failed.length === 0 && id < 1_000; id += 3) {
  const group = await Promise.allSettled([set(id), set(id + 1), set(id + 2)])
  for (const [i, answer] of group.entries())
    if (answer.status === 'fulfilled') acknowledged.push(id + i)
    else failed.push({ id: id + i, code: codeOf(answer.reason) })
}
const later = await set(5_000).then(() => 0, codeOf)
const read: boolean[] = []
for (const { id } of failed) read.push((await db.createTransaction().get(`k${id}`, true)) !== undefined)
for (const id of acknowledged)
  if (!(await db.createTransaction().get(`k${id}`, true))?.equals(Buffer.alloc(20_000, id))) read.push(true)
process.stdout.write(JSON.stringify({ acknowledged, failed, later, read }))
// As a region does that is stopped just then.
await engine.close()
process.exit(0)
