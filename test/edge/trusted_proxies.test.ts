// Whose word on a client's address an edge of one's own takes, and nobody else's.
import { expect, test } from 'vitest'
import { clientBehind, readBlocks, withoutPort } from '../../edge/forward/trusted_proxies.ts'

const trusted = readBlocks('10.0.0.0/8, 2001:db8:1::/48 192.0.2.7')

test.each([
  ['a stranger', '198.51.100.1', '203.0.113.1', '198.51.100.1'],
  ['a proxy', '10.1.2.3', '203.0.113.1', '203.0.113.1'],
  ['a proxy, and what its client wrote', '10.1.2.3', '1.1.1.1, 203.0.113.1', '203.0.113.1'],
  ['a proxy behind another', '10.1.2.3', '1.1.1.1, 203.0.113.1, 192.0.2.7', '203.0.113.1'],
  ['a proxy behind another that is none of ours', '10.1.2.3', '1.1.1.1, 192.0.2.8', '192.0.2.8'],
  ['a proxy that says nothing', '10.1.2.3', null, '10.1.2.3'],
  ['a proxy that says what is no address', '10.1.2.3', '203.0.113.1, unknown', '10.1.2.3'],
  ['a probe among proxies', '10.1.2.3', '10.9.9.9', '10.9.9.9'],
  ['a proxy with IPv6, of a client with IPv6', '2001:db8:1:2::3', '2001:db8:2::1', '2001:db8:2::1'],
  ['IPv4 at a listener of IPv6', '::ffff:10.1.2.3', '203.0.113.1', '203.0.113.1'],
  ['with ports', '10.1.2.3', '203.0.113.1:4711', '203.0.113.1'],
  ['with ports, of IPv6', '10.1.2.3', '[2001:db8:2::1]:4711', '2001:db8:2::1'],
  ['just beside a block', '11.0.0.1', '203.0.113.1', '11.0.0.1'],
])('%s', (_, peer, forwardedFor, client) => {
  expect(clientBehind(peer, forwardedFor, trusted)).toBe(client)
})

test('a peer comes with its port', () => {
  expect(['192.0.2.1:50000', '[2001:db8::1]:50000', '2001:db8::1'].map(withoutPort)).toEqual([
    '192.0.2.1',
    '2001:db8::1',
    '2001:db8::1',
  ])
})

test.each(['10.0.0.0/33', '2001:db8::/129', '10.0.0', 'localhost', '10.0.0.0/8/8', '300.1.1.1', '10.0.0.0/'])(
  'no block: %s stops the start',
  (text) => {
    expect(() => readBlocks(text)).toThrow('TRUSTED_PROXIES')
  },
)

test.each([undefined, null, '', ' '])('not set: nobody is trusted', (text) => {
  expect(readBlocks(text)).toEqual([])
})
