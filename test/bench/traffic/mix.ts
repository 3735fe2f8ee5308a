// What tenants ask, as bytes made beforehand: reads, queries and changes of records. Whose turn it is follows Zipf's law,
// as demand does (Breslau et al., "Web Caching and Zipf-like Distributions", INFOCOM 1999): the n-th largest tenant
// asks 1/n as much as the largest.
import type { Random } from '../../faults/random.ts'
import { requestBytes } from './connection.ts'
import { type BenchTenant, recordsPath, smallDocument } from './tenants.ts'

/** Of all requests. What is left over changes a record. */
const SHARES = { read: 0.6, query: 0.15, create: 0.2 }
const QUERY = `?${new URLSearchParams({ 'where[kind]': 'kind-1', limit: '10' })}`

/** One tenant's requests, each as bytes. */
export interface TenantRequests {
  reads: Buffer[]
  query: Buffer
  create: Buffer
  updates: Buffer[]
}

export function requestsOf(origin: URL, { key, project, records }: BenchTenant): TenantRequests {
  const path = recordsPath(project)
  const bytes = (method: string, at: string, body?: object) => asTenant(origin, key, method, at, body)
  return {
    reads: records.map((id) => bytes('GET', `${path}/${id}`)),
    query: bytes('GET', path + QUERY),
    create: bytes('POST', path, { data: smallDocument(0) }),
    updates: records.map((id) => bytes('PATCH', `${path}/${id}`, { data: { done: true } })),
  }
}

export function asTenant(origin: URL, key: string, method: string, path: string, body?: object): Buffer {
  const headers = { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) }
  return requestBytes(origin, method, path, headers, body && JSON.stringify(body))
}

/** One request of the mix. */
export function drawn({ reads, query, create, updates }: TenantRequests, random: Random): Buffer {
  let at = random.next()
  if (at < SHARES.read) return random.pick(reads)
  at -= SHARES.read
  if (at < SHARES.query) return query
  return at - SHARES.query < SHARES.create ? create : random.pick(updates)
}

/** Picks by Zipf's law with exponent 1, the first most often. */
export function zipf<T>(items: ReadonlyArray<T>, random: Random): () => T {
  const upTo: number[] = []
  let sum = 0
  for (let rank = 1; rank <= items.length; rank++) {
    sum += 1 / rank
    upTo.push(sum)
  }
  return () => {
    const at = random.next() * sum
    let [low, high] = [0, items.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((upTo[middle] ?? sum) > at) high = middle
      else low = middle + 1
    }
    const item = items[low]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
}
