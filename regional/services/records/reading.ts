// Reading pages of records: all of a collection in the order they were made, or those that a plan's index names. A page
// has a bound on records, on bytes and on what was looked at to find them; whatever ends it, it says where to go on.
import { createHash } from 'node:crypto'
import { invalidCursor, type Key, readCursor, writeCursor } from '../../tenancy/service.ts'
import { type CollectionRecord, type IndexRecord, type RecordsTransaction, uidKey } from './collections.ts'
import { bytesIn, entrySpace, indexKey } from './entries.ts'
import type { Plan, Query } from './query_plan.ts'
import { decodeRecord, expiryIn, isLive, recordSpace, type StoredRecord } from './store.ts'

const MAX_PAGE_BYTES = 4 * 1024 * 1024
/** Looked at in one page: what has expired and waits to be removed counts here, and is not shown. */
const MAX_LOOKED_AT = 1_000
/** Where all was left out, the next step looks at twice as much, up to that. */
const MAX_STEP = 500
/** Read side by side: few while they may be a megabyte each, more once they turn out to be small. */
const FIRST_WAVE = 8
const WAVE_BYTES = 2 * 1024 * 1024

/** Where a page ended: the record's id, behind the values by which an index found it. */
export type Position = ReadonlyArray<Buffer>

export interface PageWanted {
  limit: number
  after: Position | undefined
  nowMs: number
}

export interface RecordPage {
  records: StoredRecord[]
  /** Undefined at the end of the list. */
  next: Position | undefined
}

export async function readAll(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  { limit, after, nowMs }: PageWanted,
): Promise<RecordPage> {
  const [id] = after ?? []
  const page = await tx.chunked(recordSpace).page({
    under: [uidKey(collection)],
    limit,
    maxBytes: MAX_PAGE_BYTES,
    after: id && [uidKey(collection), id],
    shows: (value) => isLive({ expiresMs: expiryIn(value) }, nowMs),
    mostLookedAt: MAX_LOOKED_AT,
  })
  return {
    records: page.entries.map(([[, key], value]) => decodeRecord(key, value)),
    next: page.more && page.through ? [page.through[1]] : undefined,
  }
}

export async function readPlanned(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  { index, equal, descending, ...bounds }: Plan<IndexRecord>,
  { limit, after: start, nowMs }: PageWanted,
): Promise<RecordPage> {
  const base = indexKey(collection, index)
  const under = [...base, ...equal]
  const bound = (value: Buffer | undefined): Key | undefined => value && [...under, value]
  const within = {
    under,
    from: bound(bounds.from),
    behind: bound(bounds.behind),
    to: bound(bounds.to),
    through: bound(bounds.through),
    reverse: descending,
  }
  const records: StoredRecord[] = []
  let bytes = 0
  let wave = FIRST_WAVE
  let step = 0
  let lookedAt = 0
  let after = start
  for (;;) {
    const most = Math.min(limit - records.length, wave)
    const page = await tx.space(entrySpace).page({
      ...within,
      limit: Math.max(most, step),
      after: after && [...base, ...after],
    })
    let shown = 0
    const isOver = ([, expiresMs]: (typeof page.entries)[number]) =>
      isLive({ expiresMs }, nowMs) && ++shown > most
    const over = page.entries.findIndex(isOver)
    const entries = over < 0 ? page.entries : page.entries.slice(0, over)
    const found = await Promise.all(
      entries.map(async ([key, expiresMs]) => {
        const place = bytesIn(key.slice(base.length))
        const isShown = isLive({ expiresMs }, nowMs)
        return { place, record: isShown ? await readIndexed(tx, collection, place) : undefined }
      }),
    )
    for (const { place, record } of found) {
      if (record !== undefined) {
        if (records.length > 0 && bytes + record.bytes > MAX_PAGE_BYTES) return { records, next: after }
        records.push(record)
        bytes += record.bytes
      }
      after = place
    }
    lookedAt += entries.length
    wave = Math.max(FIRST_WAVE, Math.floor((WAVE_BYTES * records.length) / Math.max(1, bytes)))
    step = shown === 0 ? Math.min(2 * Math.max(step, most), MAX_STEP) : 0
    if (!page.more && over < 0) return { records, next: undefined }
    if (records.length === limit || lookedAt >= MAX_LOOKED_AT) return { records, next: after }
  }
}

async function readIndexed(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  place: Position,
): Promise<StoredRecord> {
  const id = place.at(-1)
  const bytes = id && (await tx.chunked(recordSpace).get([uidKey(collection), id]))
  if (id === undefined || bytes === undefined) throw new Error('an index has a record that is not there')
  return decodeRecord(id, bytes)
}

/** Names the list that a cursor belongs to: this collection, and this very question, answered by this index. */
export function listName(
  collection: CollectionRecord,
  query: Query | undefined,
  index: IndexRecord | undefined,
): string {
  if (query === undefined) return `records ${collection.uid}`
  const { equal, range, order } = query
  const question = JSON.stringify([
    [...equal].sort(),
    range && [range.field, [...range.by].sort()],
    order && [order.field, order.descending],
    // One that is declared anew has a number of its own: its keys may be of another type, in another order.
    index?.number,
  ])
  return `records ${collection.uid} ${createHash('sha256').update(question).digest('base64url').slice(0, 22)}`
}

export const cursorAt = (list: string, position: Position): string =>
  writeCursor(list, position.map((part) => part.toString('base64url')).join('.'))

/** @throws {Problem} `invalid_cursor` */
export function positionOf(list: string, cursor: string | undefined, parts: number): Position | undefined {
  const [text] = readCursor(list, cursor) ?? []
  if (text === undefined) return undefined
  const position = text.split('.').map((part) => Buffer.from(part, 'base64url'))
  if (position.length !== parts || position.at(-1)?.length !== 16) throw invalidCursor()
  return position
}
