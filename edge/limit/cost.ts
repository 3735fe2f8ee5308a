// What a request costs, in units, by method and the shape of its path. The client is not told in advance; `r` in
// `RateLimit` counts units too.

interface Price {
  methods: ReadonlyArray<string>
  path: RegExp
  units: number
}

const READING = ['GET', 'HEAD']
/** A path that ends in an id, or in `/v1/tenant`, is one thing (a test holds it to the regions' operations). */
const LIST =
  /\/(?:projects|api-keys|members|invitations|identity-providers|admin-links|sessions|records|agents|runs|events|audit|deliveries|webhook-endpoints|missed|webhook-sources|received|domains|collections|models)$/

/** The first that fits. */
const PRICES: ReadonlyArray<Price> = [
  { methods: ['POST'], path: /:batch$/, units: 5 },
  { methods: READING, path: LIST, units: 2 },
]

export const costOf = (method: string, path: string): number =>
  PRICES.find((price) => price.methods.includes(method) && price.path.test(path))?.units ?? 1
