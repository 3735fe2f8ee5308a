import { expect, test } from 'vitest'
import { type Bindings, readBindings } from '../../edge/env.ts'
import { bindings, ROOTS } from './support.ts'

test.each<[string, Partial<Record<keyof Bindings, unknown>>]>([
  ['REGIONS is not set', { REGIONS: null }],
  ['REGIONS is not JSON', { REGIONS: '{' }],
  ['REGIONS: us has no instance', { REGIONS: '{"us":[]}' }],
  ['REGIONS: US is not a region', { REGIONS: '{"US":["http://127.0.0.1"]}' }],
  ['REGIONS: an address of us is not a URL', { REGIONS: '{"us":["somewhere"]}' }],
  ['REGIONS: an address of us is more than an origin', { REGIONS: '{"us":["http://127.0.0.1/path"]}' }],
  ['PUBLIC_ORIGIN: it is more than an origin', { PUBLIC_ORIGIN: 'https://api.example/v1' }],
  ['CONTROL_REGION is not one of REGIONS', { CONTROL_REGION: 'mars' }],
  ['ASSERTION_KEYS: a region needs an assertion key', { ASSERTION_KEYS: '{}' }],
  [
    'SIGNING_ROOTS: the secret of signing root 1',
    { SIGNING_ROOTS: '[{"id":1,"secret":"AAAA","state":"active"}]' },
  ],
  [
    'SIGNING_ROOTS: the state of signing root 1 is none of active, retired, compromised',
    { SIGNING_ROOTS: JSON.stringify([{ ...ROOTS[0], state: 'compromized' }]) },
  ],
  [
    'SIGNING_ROOTS: the state of signing root 1',
    { SIGNING_ROOTS: JSON.stringify([{ ...ROOTS[0], state: undefined }]) },
  ],
  ['FAILURE_LIMIT: rate and burst', { FAILURE_LIMIT: '{"rate":0,"burst":5}' }],
  ['OPERATORS is not JSON', { OPERATORS: 'none' }],
])('wrong bindings stop the start: %s', async (message, wrong) => {
  await expect(readBindings({ ...(await bindings()), ...wrong } as Bindings)).rejects.toThrow(message)
})

test('what is said of a wrong signing root is nothing that stands in it', async () => {
  const [{ id, secret }] = ROOTS
  const swapped = JSON.stringify([{ id, secret: 'active', state: secret }])
  const reading = readBindings(await bindings({ SIGNING_ROOTS: swapped }))
  await expect(reading).rejects.toThrow('the state of signing root 1')
  await expect(reading).rejects.not.toThrow(secret)
})
