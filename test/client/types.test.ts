import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Document, typesOf } from '../../dev/client_types.ts'
import { type Regions, startRegions } from '../regional/support.ts'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions()
})
afterAll(() => regions.close())

test('the client’s types are those of the OpenAPI document (npm run client:types makes them anew)', async () => {
  const response = await fetch(`${regions.url('us')}/openapi.json`)
  await expect(typesOf((await response.json()) as Document)).toMatchFileSnapshot('../../shared/client/api.ts')
})
