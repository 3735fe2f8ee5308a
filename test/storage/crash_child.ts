// The process that gets killed: opens the engine in argv[2], reports what it finds there as one line of JSON,
// then writes from several clients at once and prints a line for every acknowledged commit, unbuffered.
import { writeSync } from 'node:fs'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { CLIENTS, type Found, KEYS, logPrefix, valueFor } from './crash_protocol.ts'

const directory = process.argv[2]
if (!directory) throw new Error('no directory given')
// Small thresholds bring folding and checkpoints into the time before the kill.
const thresholds = process.argv[3] === 'small' ? { foldEntries: 20, checkpointPages: 40 } : {}
const engine = await openEmbedded({ dataDir: directory, thresholds })
const native = engine.database()
const say = (line: string): void => void writeSync(1, `${line}\n`)

const read = native.createTransaction()
const found: Found[] = []
for (let client = 0; client < CLIENTS; client++) {
  const numbers: number[] = []
  for (let i = 0; i < KEYS; i++) {
    const value = await read.get(`data/${client}/${i}`, true)
    numbers.push(value ? value.readUInt32LE(0) : 0)
    if (value && !value.equals(valueFor(numbers[i] ?? 0, i))) throw new Error(`torn value at ${client}/${i}`)
  }
  const added = await read.get(`sum/${client}`, true)
  const log: number[] = []
  for (let from = `${logPrefix(client)}`, more = true; more; ) {
    const page = await read.getRange(from, false, 1, `log/${client}0`, false, 1, 0, 0, -2, 1, true, false)
    for (const [, value] of page.results) log.push(value.readUInt32LE(0))
    more = page.more
    from = `${page.results.at(-1)?.[0].toString('latin1')}\0`
  }
  found.push({ numbers, added: added ? added.readUInt32LE(0) : 0, log })
}
say(JSON.stringify(found))

async function write(client: number): Promise<void> {
  for (let number = (found[client]?.numbers[0] ?? 0) + 1; ; number++) {
    const tn = native.createTransaction()
    for (let i = 0; i < KEYS; i++) tn.set(`data/${client}/${i}`, valueFor(number, i))
    const value = Buffer.alloc(4)
    value.writeUInt32LE(1)
    tn.atomicOp(2, `sum/${client}`, value)
    const entry = Buffer.alloc(4)
    entry.writeUInt32LE(number)
    const key = Buffer.concat([Buffer.from(logPrefix(client)), Buffer.alloc(10), Buffer.alloc(4)])
    key.writeUInt32LE(logPrefix(client).length, key.length - 4)
    tn.atomicOp(14, key, entry)
    await tn.commit()
    say(`${client} ${number} ${tn.getCommittedVersion().readBigInt64BE()}`)
  }
}

await Promise.all(Array.from({ length: CLIENTS }, (_, client) => write(client)))
