// What a request costs, in units, by method and the shape of its path. The client is not told in advance; `r` in
// `RateLimit` counts units too.

interface Price {
  methods: ReadonlyArray<string>
  path: RegExp
  units: number
}

const READING = ['GET', 'HEAD']
/** A collection's own path: a path that ends in an id, or in `/v1/tenant`, is one thing. */
const LIST =
  /\/(?:projects|api-keys|members|invitations|identity-providers|admin-links|sessions|records|agents|runs|jobs|events|audit|deliveries|webhook-endpoints|webhook-sources|domains|collections)$/

/** The first that fits. */
const PRICES: ReadonlyArray<Price> = [
  { methods: ['POST'], path: /:batch$/, units: 5 },
  { methods: READING, path: LIST, units: 2 },
]

export const costOf = (method: string, path: string): number =>
  PRICES.find((price) => price.methods.includes(method) && price.path.test(path))?.units ?? 1
