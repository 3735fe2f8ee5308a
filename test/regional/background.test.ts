import { expect, test } from 'vitest'
import { Background } from '../../regional/background.ts'
import { jsonLog } from '../../regional/log.ts'

const lines: string[] = []
const newBackground = () => new Background(jsonLog('us', (line) => lines.push(line), 'info'))

test('the last round comes after the one under way, and stopping waits for both', async () => {
  const background = newBackground()
  const said: string[] = []
  const first = Promise.withResolvers<void>()
  background.once('flush', async () => {
    await first.promise
    said.push('first')
  })
  background.once('flush', async () => void said.push('last'))
  const stopped = background.stop().then(() => said.push('stopped'))
  first.resolve()
  await stopped
  expect(said).toEqual(['first', 'last', 'stopped'])
})

test('what has to be done once is tried until it is', async () => {
  const background = newBackground()
  let tries = 0
  background.untilDone(5, 'look', async () => {
    if (++tries < 3) throw new Error('no way there')
  })
  const ticks: number[] = []
  background.every(5, 'tick', async () => void ticks.push(tries))
  await expect.poll(() => ticks.filter((seen) => seen === 3).length).toBeGreaterThan(3)
  await background.stop()
  expect(tries).toBe(3)
})

test('a round that fails is logged, and keeps the next one from nothing', async () => {
  const background = newBackground()
  background.once('flush', async () => {
    throw new Error('no way there')
  })
  let ran = false
  background.once('flush', async () => {
    ran = true
  })
  await background.stop()
  expect(ran).toBe(true)
  expect(lines.join('')).toContain('background work failed: flush')
})

test('what fails again and again for one reason is logged once, and once more when it goes on', async () => {
  lines.length = 0
  const background = newBackground()
  const outcomes = ['away', 'away', 'away', 'full', 'full', undefined, undefined, 'away']
  for (const outcome of outcomes)
    background.once('models', async () => {
      if (outcome !== undefined) throw new Error(outcome)
    })
  await background.stop()
  const said = lines.map((line) => JSON.parse(line) as { level: string; message: string; error?: string })
  expect(said.map(({ level, error }) => [level, error?.split('\n')[0]])).toEqual([
    ['error', 'Error: away'],
    ['error', 'Error: full'],
    ['info', undefined],
    ['error', 'Error: away'],
  ])
})
