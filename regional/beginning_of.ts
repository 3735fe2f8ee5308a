// Texts of others that are kept as JSON: bounded by the bytes that they take there, where one character may take six.

/** The beginning of a text that takes at most so many bytes as JSON. */
export function beginningOf(text: string, maxBytes: number): string {
  const bytes = Buffer.byteLength(JSON.stringify(text))
  if (bytes <= maxBytes) return text
  return beginningOf(text.slice(0, Math.floor((text.length * maxBytes) / bytes)), maxBytes)
}
