// Goes round the keys of a map, one at a time, whatever is put in or taken out meanwhile: to find one to forget without a look at
// all of them (the clock of Corbató, "A Paging Experiment with the Multics System", 1968).

export class ClockHand<K> {
  private readonly map: ReadonlyMap<K, unknown>
  private at: MapIterator<K>

  constructor(map: ReadonlyMap<K, unknown>) {
    this.map = map
    this.at = map.keys()
  }

  /** @returns the next one that will do; after a whole round the next one at all; undefined where there is none */
  next(willDo: (key: K) => boolean): K | undefined {
    for (let looked = 0; ; looked++) {
      const key = this.step()
      if (key === undefined || looked >= this.map.size || willDo(key)) return key
    }
  }

  private step(): K | undefined {
    const { value, done } = this.at.next()
    if (done !== true) return value
    this.at = this.map.keys()
    return this.at.next().value
  }
}
