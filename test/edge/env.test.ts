import { expect, test } from 'vitest'
import { type Bindings, readBindings } from '../../edge/env.ts'
import { bindings } from './support.ts'

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
  ['FAILURE_LIMIT: rate and burst', { FAILURE_LIMIT: '{"rate":0,"burst":5}' }],
  ['OPERATORS is not JSON', { OPERATORS: 'none' }],
])('wrong bindings stop the start: %s', async (message, wrong) => {
  await expect(readBindings({ ...(await bindings()), ...wrong } as Bindings)).rejects.toThrow(message)
})
