// What is sent is signed as others sign it: the vectors of Standard Webhooks, for HMAC and for Ed25519, and its library.
import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import {
  importSecrets,
  newSecrets,
  publicKeyOf,
  type SigningSecrets,
  secretBytes,
  signatureOf,
} from '../../regional/webhooks/signature.ts'

const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const SECONDS = 1_614_265_330
const BODY = '{"test": 2432232314}'
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
/** Seed and public key, one behind the other, as `whsk_` has them. */
const PAIR = Buffer.from(
  '6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
  'base64',
)
const VECTOR: SigningSecrets = {
  secret: SECRET,
  d: PAIR.subarray(0, 32).toString('base64url'),
  x: PAIR.subarray(32).toString('base64url'),
}

const sign = async (...secrets: SigningSecrets[]) =>
  signatureOf(await Promise.all(secrets.map(importSecrets)), ID, SECONDS, BODY)

test('the published vectors come out, byte for byte', async () => {
  expect(await sign(VECTOR)).toBe(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= ' +
      'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
  )
  expect(publicKeyOf(VECTOR)).toBe('whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=')
})

test('the library signs the same, and each generation of secrets has its own two signatures', async () => {
  const [first, second] = [await newSecrets(), await newSecrets()]
  const signatures = (await sign(first, second)).split(' ')
  expect(signatures.map((each) => each.split(',')[0])).toEqual(['v1', 'v1a', 'v1', 'v1a'])
  for (const [i, { secret }] of [first, second].entries()) {
    expect(signatures[2 * i]).toBe(new Webhook(secret).sign(ID, new Date(SECONDS * 1_000), BODY))
  }
})

describe('a secret', () => {
  const of = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`
  test.each([24, 25, 32, 64])('of %i bytes is one', (bytes) =>
    expect(secretBytes(of(bytes))).toHaveLength(bytes),
  )
  test.each([
    of(23),
    of(65),
    SECRET.slice(1),
    `${SECRET}x`,
    of(25).replace('w==', 'x=='),
    SECRET.replace('f', '-'),
    '',
  ])('%s is none', (text) => expect(secretBytes(text)).toBeUndefined())
})
