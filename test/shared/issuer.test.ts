// Which URLs the edge fetches keys from, since tenants name them, and which texts are issuers: in both runtimes, whose
// parsers both have to see through every spelling of an address.
import { describe, expect, test } from 'vitest'
import { isFetchable, isIssuer, MAX_ISSUER_LENGTH } from '../../shared/issuer.ts'

const OPEN = [
  'https://login.example.com',
  'https://login.example.com/',
  'https://login.example.com/tenant/v2.0',
  'https://login.example.com:8443/a',
  'https://xn--bcher-kva.example',
  'https://1.2.3.4.example.com',
  'https://localhost.example.com',
  'https://mylocalhost.com',
  'https://a.internal.example.com',
]

const SHUT = {
  'other schemes': [
    'http://login.example.com',
    'ftp://login.example.com',
    'file:///etc/passwd',
    'data:application/json,{}',
    'blob:https://login.example.com/1',
    'ws://login.example.com',
    'javascript:alert(1)',
    '//login.example.com',
    'login.example.com',
    '',
  ],
  'IPv4 in each spelling': [
    'https://127.0.0.1',
    'https://10.0.0.1:8443/',
    'https://169.254.169.254/latest/meta-data',
    'https://8.8.8.8',
    'https://127.0.0.1.',
    'https://127.1',
    'https://127.0.1',
    'https://2130706433',
    'https://017700000001',
    'https://0177.0.0.1',
    'https://0x7f.0.0.1',
    'https://0x7f000001',
    'https://0x7f.1',
    'https://0',
    'https://0.0.0.0',
    'https://%31%32%37.0.0.1',
    'https://127。0。0。1',
    'https://①②⑦.0.0.1',
  ],
  'IPv6 in each spelling': [
    'https://[::1]',
    'https://[::]',
    'https://[0:0:0:0:0:0:0:1]:8443/',
    'https://[::ffff:127.0.0.1]',
    'https://[::ffff:7f00:1]',
    'https://[::127.0.0.1]',
    'https://[64:ff9b::10.0.0.1]',
    'https://[fe80::1]',
    'https://[fd00:ec2::254]',
    'https://[2606:4700:4700::1111]',
  ],
  'names of the inside': [
    'https://localhost',
    'https://localhost.',
    'https://LOCALHOST',
    'https://a.localhost',
    'https://metadata',
    'https://metadata.',
    'https://metadata.google.internal',
    'https://metadata.google.internal.',
    'https://METADATA.google.INTERNAL',
    'https://printer.local',
    'https://db.intranet',
    'https://router.home.arpa',
    'https://issuer-keys.invalid',
    'https://%6cocalhost',
    'https://ⓛocalhost',
  ],
  'a name that ends in a full stop': ['https://login.example.com.', 'https://login.example.com./a'],
  userinfo: [
    'https://user@login.example.com',
    'https://user:password@login.example.com',
    'https://:password@login.example.com',
    'https://login.example.com@127.0.0.1',
    'https://login.example.com%40127.0.0.1@[::1]',
  ],
  'ports that are none': ['https://login.example.com:65536', 'https://login.example.com:x'],
}

describe.each([true, false])('with development %s', (development) => {
  test.each(OPEN)('keys are fetched from %s', (url) => {
    expect(isFetchable(url, development)).toBe(true)
  })

  test.each(Object.entries(SHUT))('nothing is fetched from %s', (_, urls) => {
    expect(urls.filter((url) => isFetchable(url, development) || isIssuer(url, development))).toEqual([])
  })

  test.each(['http://127.0.0.1:8080/a', 'http://localhost:8080'])('of this machine: %s', (url) => {
    expect(isFetchable(url, development)).toBe(development)
    expect(isIssuer(url, development)).toBe(development)
  })
})

test('http of this machine is of two names alone', () => {
  const urls = ['127.0.0.2', '0.0.0.0', '[::1]', 'user@localhost', 'localhost.', 'a.localhost', '10.0.0.1']
  expect(urls.filter((host) => isFetchable(`http://${host}:8080/`, true))).toEqual([])
})

test.each<[boolean, string]>([
  [true, 'https://login.example.com'],
  [true, 'https://login.example.com/'],
  [true, 'https://login.example.com/a/'],
  [true, 'https://login.example.com:8443/a'],
  [false, 'https://login.example.com:443'],
  [false, 'https://login.example.com:08443'],
  [false, 'https://LOGIN.example.com'],
  [false, 'HTTPS://login.example.com'],
  [false, 'https:login.example.com'],
  [false, 'https:\\\\login.example.com'],
  [false, 'https://bücher.example'],
  [false, 'https://login.example.com/a/../b'],
  [false, 'https://login.example.com/?a'],
  [false, 'https://login.example.com/#a'],
  [false, ' https://login.example.com'],
  [false, 'https://login.example.com\n'],
  [false, 'https://login.ex\tample.com'],
  [true, `https://login.example.com/${'a'.repeat(MAX_ISSUER_LENGTH - 26)}`],
  [false, `https://login.example.com/${'a'.repeat(MAX_ISSUER_LENGTH - 25)}`],
])('an issuer has one spelling only: %s, %s', (is, text) => {
  expect(isIssuer(text, false)).toBe(is)
})
