// How long a new organisation takes: from asking for it to its first record, written with the key that came back. Through
// edge and region, one after the other, as an operator's own sign-up would do it.
import { cpus, loadavg } from 'node:os'
import { startStack } from '../e2e/stack.ts'
import { percentile } from './closed_loop.ts'
import { onboard } from './onboard.ts'

const ORGANISATIONS = Number(process.env.ORGANISATIONS ?? 200)
const WARM_UP = 10

export async function run(emit: (figure: object) => void, say: (line: string) => void): Promise<void> {
  const stack = await startStack()
  try {
    const times: number[] = []
    for (let i = 0; i < WARM_UP + ORGANISATIONS; i++) {
      const startedAt = performance.now()
      await onboard(stack, `onboarding-${i}`, i % 2 === 0 ? 'us' : 'eu')
      if (i >= WARM_UP) times.push(performance.now() - startedAt)
    }
    const [p50Ms, p99Ms] = [percentile(times, 50), percentile(times, 99)].map(
      (ms) => Math.round(ms * 10) / 10,
    )
    emit({
      bench: 'onboarding',
      cpus: cpus().length,
      load: loadavg()[0],
      organisations: ORGANISATIONS,
      p50Ms,
      p99Ms,
    })
    say(
      `${ORGANISATIONS} organisations, to the first record: p50 ${p50Ms} ms (aim 150), p99 ${p99Ms} ms (aim 1000)`,
    )
  } finally {
    await stack.stop()
  }
}
