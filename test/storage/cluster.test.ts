import { expect, test } from 'vitest'
import { agreeOnApiVersion } from '../../regional/storage/cluster.ts'
import { FDBError } from '../../regional/storage/foundationdb.ts'
import { StorageError } from '../../regional/storage/open.ts'

const NOT_SUPPORTED = 2203

/** A client library that knows API versions up to `newest`, with the header version that the prebuilt binding asks for. */
function client(newest: number) {
  const selected: number[] = []
  const select = (version: number, header: number): void => {
    if (version > newest || header > newest) throw new FDBError('API version not supported', NOT_SUPPORTED)
    selected.push(version)
  }
  return { selected, setAPIVersion: (version: number) => select(version, 720), setAPIVersionImpl: select }
}

test('a 7.3 client runs at 720, a 7.1 client at 710 with its header version, and an older one is refused in one line', () => {
  const newer = client(730)
  agreeOnApiVersion(newer)
  expect(newer.selected).toEqual([720])
  const older = client(710)
  agreeOnApiVersion(older)
  expect(older.selected).toEqual([710])
  expect(() => agreeOnApiVersion(client(630))).toThrow(StorageError)
  expect(() => agreeOnApiVersion(client(630))).toThrow(
    /^The FoundationDB client library is too old\. Install .* 7\.3 .*$/,
  )
})

test('an error of the client that is not about versions comes through', () => {
  const broken = {
    setAPIVersion: () => {
      throw new FDBError('Network already set up', 2009)
    },
    setAPIVersionImpl: () => {},
  }
  expect(() => agreeOnApiVersion(broken)).toThrow(expect.objectContaining({ code: 2009 }))
})
