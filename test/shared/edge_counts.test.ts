import { expect, test } from 'vitest'
import { type EdgeCounted, readCounts, writeCounts } from '../../shared/edge_counts.ts'

test('counts are read as they were written, with the region that did not answer', () => {
  const counts: EdgeCounted[] = [
    { decision: 'throttled', count: 12 },
    { decision: 'region_unavailable', of: 'eu', count: 3 },
    { decision: 'region_unavailable', of: 'us', count: 1 },
  ]
  expect(writeCounts(counts)).toBe('throttled=12, region_unavailable.eu=3, region_unavailable.us=1')
  expect(readCounts(writeCounts(counts))).toEqual(counts)
})

test.each([
  '',
  'x=1',
  'throttled',
  'throttled=-1',
  'throttled=1e3',
  'region_unavailable.EU=1',
  'throttled.=1',
])('what is not known is left out: %s', (text) => expect(readCounts(text)).toEqual([]))
