// What the killed process writes and the test expects. Client c's commit number n sets five keys to n, adds one
// to a sum, and appends n to a log: all or nothing.

export const CLIENTS = 6
export const KEYS = 5

export interface Found {
  numbers: number[]
  added: number
  log: number[]
}

export const logPrefix = (client: number): string => `log/${client}/`

/** The number, then bytes that follow from it: up to 6 kB, so that commits span pages. */
export function valueFor(number: number, i: number): Buffer {
  const value = Buffer.alloc(4 + ((number * 977 + i * 331) % 6000), number + i)
  value.writeUInt32LE(number)
  return value
}
