// Requests that go where tenants say: never into a network of ours, whatever a name, a literal or a redirect says; and
// always to an end, whatever the other side does.

import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { isPublicAddress } from '../../regional/outbound/address.ts'
import { type Called, type OutboundOptions, outboundClient } from '../../regional/outbound/client.ts'
import { guardedConnector, Unreachable } from '../../regional/outbound/connect.ts'
import { retryAfterMs } from '../../regional/outbound/retry_after.ts'
import { callableUrl } from '../../regional/outbound/target.ts'
import { testCertificate } from '../support/certificate.ts'
import { startReceiver } from '../support/webhook_receiver.ts'

const NOBODY: ReadonlySet<string> = new Set()

describe('addresses', () => {
  const PRIVATE = [
    ...['0.0.0.0', '10.0.0.1', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'],
    ...[
      '192.0.0.192',
      '192.0.2.1',
      '192.88.99.1',
      '192.168.1.1',
      '198.18.0.1',
      '198.51.100.1',
      '203.0.113.1',
    ],
    ...['224.0.0.1', '240.0.0.1', '255.255.255.255', '168.63.129.16', '100.100.100.200', '192.31.196.1'],
    ...[
      '::',
      '::1',
      '::127.0.0.1',
      '::ffff:10.0.0.1',
      '::ffff:a00:1',
      '::ffff:0:127.0.0.1',
      '64:ff9b::a00:1',
    ],
    ...[
      '64:ff9b:1::1',
      '100::1',
      '2001::1',
      '2001:db8::1',
      '2002:7f00:1::1',
      '3fff::1',
      '4000::1',
      '5f00::1',
    ],
    ...[
      'fc00::1',
      'fd00:ec2::254',
      'fe80::1',
      'fe80::1%eth0',
      'fec0::1',
      'ff02::1',
      '',
      'localhost',
      '1',
      '::1%1',
    ],
  ]
  test.each(PRIVATE)('%s is not public', (address) => expect(isPublicAddress(address)).toBe(false))
  test.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '2606:4700::1111', '::ffff:1.1.1.1'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )
})

describe('URLs', () => {
  const REFUSED = [
    ...['http://example.com/', 'ftp://example.com/', 'file:///etc/passwd', 'javascript:1', 'nonsense', ''],
    ...['https://u:p@example.com/', 'https://u@example.com/', 'https://example.com/#f', 'https://[::1]/'],
    ...[
      'https://127.0.0.1/',
      'https://2130706433/',
      'https://0177.0.0.1/',
      'https://0x7f.1/',
      'https://127.1/',
    ],
    ...[
      'https://①②⑦.0.0.1/',
      'https://169.254.169.254/latest/meta-data/',
      'https://[::ffff:169.254.169.254]/',
    ],
    ...['https://[::ffff:a9fe:a9fe]/', 'https://[fd00:ec2::254]/', 'https://0/', 'https://10.0.0.1:8443/'],
    ...[
      'https://017700000001/',
      'https://0xa9fea9fe/',
      'https://192.168.1.1./',
      `https://a.example/${'x'.repeat(2048)}`,
    ],
  ]
  test.each(REFUSED)('%s is not called', (url) => expect(callableUrl(url, NOBODY)).toBeUndefined())

  test('https of a public host is, in one spelling', () => {
    expect(callableUrl('https://Example.COM:443/a b', NOBODY)).toBe('https://example.com/a%20b')
    expect(callableUrl('https://1.1.1.1:8443/', NOBODY)).toBe('https://1.1.1.1:8443/')
  })

  test('a developer’s own hosts are, by name, and no others', () => {
    const development = new Set(['127.0.0.1'])
    expect(callableUrl('http://127.0.0.1:8080/', development)).toBe('http://127.0.0.1:8080/')
    for (const url of ['http://localhost/', 'http://127.0.0.2/', 'https://[::1]/', 'ftp://127.0.0.1/']) {
      expect([url, callableUrl(url, development)]).toEqual([url, undefined])
    }
  })
})

test('Retry-After is seconds, or a date', () => {
  const nowMs = Date.parse('2026-11-23T10:15:00Z')
  expect(retryAfterMs('120', nowMs)).toBe(120_000)
  for (const text of [
    ...['Mon, 23 Nov 2026 10:16:00 GMT', 'Monday, 23-Nov-26 10:16:00 GMT', 'Mon Nov 23 10:16:00 2026'],
  ]) {
    expect([text, retryAfterMs(text, nowMs)]).toEqual([text, 60_000])
  }
  expect(retryAfterMs('Mon, 23 Nov 2026 10:14:00 GMT', nowMs)).toBe(0)
  for (const text of [undefined, '', '-1', 'soon', '1.5', '1e9'])
    expect(retryAfterMs(text, nowMs)).toBeUndefined()
})

const closing: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function client(options: Partial<OutboundOptions> = {}) {
  const made = outboundClient({ development: NOBODY, now: Date.now, timeoutMs: 500, ...options })
  closing.push(() => made.close())
  const aborting = new AbortController()
  return (url: string): Promise<Called> =>
    made.post({ url, headers: { 'x-own': '1' }, body: '{}', signal: aborting.signal })
}

/** A TCP server, and all that it was sent. */
async function listening(answer: (socket: Socket) => void, server?: Server) {
  let bytes = 0
  let connections = 0
  const sockets = new Set<Socket>()
  const taken = (socket: Socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      bytes += data.length
    })
    answer(socket)
  }
  const own = server ?? createServer(taken)
  if (server !== undefined) server.on('secureConnection', taken)
  await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => own.close(resolve))
  })
  const { port } = own.address() as AddressInfo
  return { port, bytes: () => bytes, connections: () => connections }
}

/** A connection may be used again from the next turn of the event loop on. */
const isKept = async () => {
  for (let turn = 0; turn < 3; turn++) await setImmediate()
}

/** @param answer what to do with each request of a connection, once all of it is there: the first, the second, … */
function onRequest(socket: Socket, answer: (request: number) => void): void {
  let [text, requests] = ['', 0]
  socket.on('data', (data) => {
    text += data
    if (!text.endsWith('\r\n\r\n{}')) return
    text = ''
    answer(++requests)
  })
}

describe('not a byte is sent', () => {
  test('to an address, however it is spelt', async () => {
    const inside = await listening(() => {})
    const post = client()
    for (const host of [
      '127.0.0.1',
      '2130706433',
      '0177.0.0.1',
      '0x7f.1',
      '127.1',
      '0',
      '[::ffff:127.0.0.1]',
    ]) {
      for (const scheme of ['http', 'https']) {
        expect(await post(`${scheme}://${host}:${inside.port}/`)).toMatchObject({ outcome: 'unreachable' })
      }
    }
    expect(inside.connections()).toBe(0)
  })

  test('to a name that leads into a private network, or to any address of one that does in part', async () => {
    const inside = await listening(() => {})
    for (const addresses of [['127.0.0.1'], ['1.1.1.1', '127.0.0.1'], ['::ffff:127.0.0.1'], []]) {
      const post = client({ lookUp: async () => addresses })
      const called = await post(`https://inside.example:${inside.port}/`)
      expect(called).toMatchObject({ outcome: 'unreachable' })
    }
    expect(inside.connections()).toBe(0)
  })

  test('when a name leads elsewhere by the time of the connection: it is asked once, and what it said is connected to', async () => {
    const inside = await listening(() => {})
    const asked: string[] = []
    const post = client({
      // 192.0.2.1 counts as public here, and nobody is there.
      isAllowed: (address) => address === '192.0.2.1',
      lookUp: async (name) => {
        asked.push(name)
        return asked.length === 1 ? ['192.0.2.1'] : ['127.0.0.1']
      },
      timeoutMs: 300,
    })
    await post(`https://turning.example:${inside.port}/`)
    expect([asked, inside.connections()]).toEqual([['turning.example'], 0])
    // The next connection asks again, and is checked again.
    expect(await post(`https://turning.example:${inside.port}/`)).toMatchObject({ outcome: 'unreachable' })
    expect(inside.connections()).toBe(0)
  })

  test('when the socket turns out to be connected to another address than was checked', async () => {
    const inside = await listening(() => {})
    let checks = 0
    // As if the network itself had turned it: allowed when looked up, and no more when connected.
    const post = client({ lookUp: async () => ['127.0.0.1'], isAllowed: () => ++checks === 1 })
    expect(await post(`http://turned.example:${inside.port}/`)).toMatchObject({ outcome: 'unreachable' })
    expect([checks, inside.bytes()]).toEqual([2, 0])
  })

  test('by a redirect', async () => {
    const inside = await listening(() => {})
    const receiver = await startReceiver()
    closing.push(() => receiver.close())
    receiver.answer('/', (_, response) =>
      response.writeHead(307, { location: `http://127.0.0.1:${inside.port}/` }).end(),
    )
    const post = client({ development: new Set(['127.0.0.1']) })
    expect(await post(receiver.url('/'))).toMatchObject({ outcome: 'answered', status: 307 })
    expect(inside.connections()).toBe(0)
  })
})

test('who refuses and who is not to be reached are the same to the tenant', async () => {
  const refusing = await listening(() => {})
  for (const close of closing.splice(0)) await close()
  const allowed = client({ lookUp: async () => ['127.0.0.1'], isAllowed: () => true })
  const guarded = client({ lookUp: async () => ['127.0.0.1'] })
  const nameless = client({ lookUp: async () => Promise.reject(new Error('ENOTFOUND')) })
  const url = `https://one.example:${refusing.port}/`
  const [first, ...others] = await Promise.all([allowed, guarded, nameless].map((post) => post(url)))
  for (const other of others) expect({ ...other, durationMs: 0 }).toEqual({ ...first, durationMs: 0 })
})

test('a name whose servers keep silent leads nowhere, in the time that a connection has', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  try {
    for (const lookUp of [
      () => new Promise<never>(() => {}),
      () => new Promise<never>((_, reject) => setTimeout(() => reject(new Error('ESERVFAIL')), 60_000)),
    ]) {
      const came = vi.fn()
      const options = { hostname: 'silent.example', protocol: 'https:', port: '443' }
      guardedConnector({ development: NOBODY, lookUp })(options, came)
      await vi.advanceTimersByTimeAsync(7_900)
      expect(came).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(200)
      expect(came).toHaveBeenCalledExactlyOnceWith(expect.any(Unreachable), null)
      // What comes too late is nobody's error.
      await vi.advanceTimersByTimeAsync(60_000)
      expect(vi.getTimerCount()).toBe(0)
    }
  } finally {
    vi.useRealTimers()
  }
})

describe('whatever the receiver does, it comes to an end', () => {
  const here = (post: (url: string) => Promise<Called>, port: number, scheme = 'http') =>
    post(`${scheme}://127.0.0.1:${port}/`)
  const development = new Set(['127.0.0.1'])

  test('it keeps silent, or sends no end', async () => {
    for (const answer of [
      () => {},
      (socket: Socket) => void socket.write('HTTP/1.1 200 OK\r\n'),
      (socket: Socket) => {
        const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 20)
        socket.once('close', () => clearInterval(timer))
      },
    ]) {
      const { port } = await listening(answer)
      expect(await here(client({ development }), port)).toMatchObject({ outcome: 'timed_out' })
    }
  })

  test('it breaks off, or talks something else', async () => {
    const reset = await listening((socket) => void socket.once('data', () => socket.resetAndDestroy()))
    expect(await here(client({ development }), reset.port)).toMatchObject({ outcome: 'connection_lost' })
    const other = await listening((socket) => void socket.end('220 mail.example ESMTP\r\n'))
    expect(await here(client({ development }), other.port)).toMatchObject({ outcome: 'not_http' })
    const long = await listening(
      (socket) => void socket.end(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(200_000)}\r\n\r\n`),
    )
    expect(await here(client({ development }), long.port)).toMatchObject({ outcome: 'not_http' })
  })

  test('its answer is huge, or never ends: the first 4 KiB are enough', async () => {
    const { port } = await listening((socket) => {
      socket.write('HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n')
      const more = () => {
        while (!socket.destroyed && socket.write(`10000\r\n${'y'.repeat(0x10000)}\r\n`));
      }
      socket.on('drain', more)
      more()
    })
    const called = await here(client({ development, timeoutMs: 5_000 }), port)
    expect(called).toMatchObject({ outcome: 'answered', status: 500, answer: 'y'.repeat(4096) })
    const stalled = await listening(
      (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'),
    )
    expect(await here(client({ development }), stalled.port)).toMatchObject({ status: 200, answer: 'half' })
  })

  test('its certificate is nobody’s, or another’s', async () => {
    const { key, cert } = testCertificate
    const wrong = await listening(() => {}, createTlsServer({ key, cert }))
    expect(await here(client({ development }), wrong.port, 'https')).toMatchObject({ outcome: 'tls_failed' })
    const plain = await listening((socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\n'))
    expect(await here(client({ development }), plain.port, 'https')).toMatchObject({ outcome: 'tls_failed' })
    expect(wrong.bytes()).toBe(0)
  })

  test.each([
    ['closed', (socket: Socket) => socket.destroy()],
    ['reset', (socket: Socket) => socket.resetAndDestroy()],
  ])('a connection that was kept and is %s meanwhile is made again', async (_, drop) => {
    let [answered, dropped] = [0, 0]
    const { port, connections } = await listening((socket) => {
      onRequest(socket, (ofThis) => {
        if (ofThis > 1) {
          dropped++
          return void drop(socket)
        }
        answered++
        socket.write('HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n')
      })
    })
    const post = client({ development })
    for (let i = 0; i < 2; i++) {
      expect(await here(post, port)).toMatchObject({ outcome: 'answered', status: 204 })
      await isKept()
    }
    expect([answered, dropped, connections()]).toEqual([2, 1, 2])
  })

  test('one that has never answered is not made again, whatever it said', async () => {
    for (const said of ['', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1 20']) {
      const { port, connections } = await listening((socket) => onRequest(socket, () => socket.end(said)))
      const called = await here(client({ development }), port)
      expect([said, called.outcome, connections()]).toEqual([said, 'connection_lost', 1])
    }
  })

  test('made again, it has no more time than there was', async () => {
    let made = 0
    const { port } = await listening((socket) => {
      const isFirst = ++made === 1
      onRequest(socket, (ofThis) => {
        if (!isFirst) return
        if (ofThis === 1) socket.write('HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n')
        else setTimeout(() => socket.end(), 800)
      })
    })
    const post = client({ development, timeoutMs: 1_000 })
    await here(post, port)
    await isKept()
    const called = await here(post, port)
    expect([called.outcome, made]).toEqual(['timed_out', 2])
    expect(called.durationMs).toBeLessThan(1_500)
  })
})

afterAll(async () => {
  for (const close of closing.splice(0)) await close()
})
