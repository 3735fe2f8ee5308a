// `npm run test:traces`: replays every file of TRACES_DIR on a fresh embedded database and prints what differs.
import { join } from 'node:path'
import { describeFailure, replayAll } from './trace.ts'

const { passed, failures } = await replayAll(process.env.TRACES_DIR ?? join(import.meta.dirname, 'traces'))
for (const failure of failures) console.log(describeFailure(failure))
console.log(`${passed} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1
