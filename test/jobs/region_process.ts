// A region as a process of its own, which a test can kill: the real server, with the counting service beside its own.
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { counting } from './counting_service.ts'
import { count } from './support.ts'

const aheadMs = Number(process.env.CLOCK_AHEAD_MS ?? 0)
const region = await startRegion(readConfig(process.env), {
  extraServices: [counting],
  extraJobKinds: [count],
  now: () => Date.now() + aheadMs,
  writeLog: () => {},
})
process.on('SIGTERM', () => {
  void region.close().then(() => process.exit(0))
})
process.send?.({ type: 'listening' })
