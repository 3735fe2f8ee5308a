// Every runtime's timer is a signed 32-bit number of milliseconds: asked to wait longer, it goes off at once. Here it waits
// as long as it can, so that `Infinity` is a time without end, or near enough.

/** 24 days. */
const LONGEST_MS = 2 ** 31 - 1

export const after = (ms: number, act: () => void): ReturnType<typeof setTimeout> =>
  setTimeout(act, Math.min(ms, LONGEST_MS))
