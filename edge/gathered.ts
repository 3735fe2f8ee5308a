// A body of unknown length, read into one piece.

/** @param hold told of the length so far, before that is kept; throws when it is too much */
export async function gathered(
  read: () => Promise<ReadableStreamReadResult<Uint8Array>>,
  hold: (length: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await read()
    if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer())
    length += value.length
    hold(length)
    chunks.push(value)
  }
}
