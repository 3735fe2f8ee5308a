// The catalogue of models: kept in the control region, with sealed keys; every region has a copy in memory, a few seconds
// old at most, and goes on with it while the control region does not answer.
import type { Log } from '../log.ts'
import { jsonSpace } from '../storage/space.ts'
import { SealError, type Sealer } from '../tenancy/idempotency.ts'
import type { RegionDatabase, Scope } from '../tenancy/region_database.ts'
import type { Model } from './model.ts'

type StoredModel = Omit<Model, 'apiKey'> & { sealedKey: string | null; createdAt: string; updatedAt: string }
/** `keyLost`: it has a key that does not open, and so is off and without it. */
export type ListedModel = Model & { createdAt: string; updatedAt: string; keyLost?: true }

const modelSpace = jsonSpace<[name: string], StoredModel>('model')
/** Whether this very change was not made before. Asked in its transaction, and remembered with it. */
export type IsFirst = (scope: Scope) => Promise<boolean>

/** A platform has a handful. */
export const MAX_MODELS = 200

/** `gone`: it was added or changed before, by this very request, and taken away since. */
export type NotAdded = 'exists' | 'full' | 'gone'
type Added = { outcome: 'added'; model: ListedModel } | { outcome: NotAdded }

/** In the control region. */
export class ModelStore {
  private readonly database: RegionDatabase
  private readonly sealer: Sealer
  private readonly now: () => number
  private readonly log: Log
  /** When each model was changed last whose key was said not to open. */
  private readonly toldLost = new Map<string, string>()

  constructor(database: RegionDatabase, sealer: Sealer, now: () => number, log: Log) {
    this.database = database
    this.sealer = sealer
    this.now = now
    this.log = log
  }

  list(): Promise<ListedModel[]> {
    return this.database.platform(async (scope) => {
      const { entries } = await scope.space(modelSpace).page({ limit: MAX_MODELS })
      return { value: entries.map(([, model]) => this.opened(model)), commit: false }
    })
  }

  read(name: string): Promise<ListedModel | undefined> {
    return this.database.platform(async (scope) => {
      const model = await scope.space(modelSpace).get([name])
      return { value: model && this.opened(model), commit: false }
    })
  }

  add(model: Model, isFirst: IsFirst): Promise<Added> {
    const at = new Date(this.now()).toISOString()
    const { apiKey, ...others } = model
    const sealedKey = this.sealed(model.name, apiKey)
    const stored = { ...others, sealedKey, createdAt: at, updatedAt: at }
    const added = (model: StoredModel): Added => ({ outcome: 'added', model: this.opened(model) })
    return this.database.platform<Added>(async (scope) => {
      const models = scope.space(modelSpace)
      const [known, { entries }] = await Promise.all([
        models.get([model.name]),
        models.page({ limit: MAX_MODELS }),
      ])
      if (!(await isFirst(scope))) {
        return { value: known === undefined ? { outcome: 'gone' } : added(known), commit: false }
      }
      if (known !== undefined) return { value: { outcome: 'exists' }, commit: false }
      if (entries.length >= MAX_MODELS) return { value: { outcome: 'full' }, commit: false }
      models.set([model.name], stored)
      return { value: added(stored), commit: true }
    })
  }

  /** @param agree throws for a model that is not as it was thought to be */
  change(
    name: string,
    changes: Partial<Model>,
    isFirst: IsFirst,
    agree: (before: ListedModel) => void,
  ): Promise<ListedModel | 'gone' | undefined> {
    return this.database.platform<ListedModel | 'gone' | undefined>(async (scope) => {
      const models = scope.space(modelSpace)
      const stored = await models.get([name])
      if (stored === undefined) return { value: (await isFirst(scope)) ? undefined : 'gone', commit: false }
      const before = this.opened(stored)
      if (!(await isFirst(scope))) return { value: before, commit: false }
      agree(before)
      const { apiKey, ...others } = changes
      const after = {
        ...{ ...stored, ...others, name },
        // As it was sealed, unless another is set: it need not open for that.
        ...(apiKey !== undefined && { sealedKey: this.sealed(name, apiKey) }),
        updatedAt: new Date(this.now()).toISOString(),
      }
      models.set([name], after)
      return { value: this.opened(after), commit: true }
    })
  }

  /**
   * @param agree as for {@link change}
   * @returns false when there is none
   */
  remove(name: string, isFirst: IsFirst, agree: (before: ListedModel) => void): Promise<boolean> {
    return this.database.platform(async (scope) => {
      if (!(await isFirst(scope))) return { value: true, commit: false }
      const models = scope.space(modelSpace)
      const before = await models.get([name])
      if (before === undefined) return { value: false, commit: false }
      agree(this.opened(before))
      models.clear([name])
      return { value: true, commit: true }
    })
  }

  private sealed(name: string, apiKey: string | null): string | null {
    return apiKey === null ? null : this.sealer.seal(apiKey, `model ${name}`)
  }

  /** A key that does not open is no reason for all other models to fail. */
  private opened({ sealedKey, ...model }: StoredModel): ListedModel {
    if (sealedKey === null) return { ...model, apiKey: null }
    try {
      return { ...model, apiKey: this.sealer.open(sealedKey, `model ${model.name}`) }
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      if (this.toldLost.get(model.name) !== model.updatedAt)
        this.log.error('a model is off until its key is set again', { model: model.name, error })
      this.toldLost.set(model.name, model.updatedAt)
      return { ...model, apiKey: null, enabled: false, keyLost: true }
    }
  }
}

type KnownModel = Model & Pick<ListedModel, 'updatedAt' | 'keyLost'>

/** Perhaps one instance of the control region alone lacks the key that sealed it: what nobody has changed stays as it was. */
const asKnown = (model: KnownModel, known: KnownModel | undefined): KnownModel =>
  model.keyLost && known?.updatedAt === model.updatedAt ? known : model

/** A region's copy. */
export class Catalogue {
  private readonly load: () => Promise<ReadonlyArray<KnownModel>>
  private heard: (models: ReadonlyMap<string, Model>) => void = () => {}
  private models: ReadonlyMap<string, KnownModel> | undefined

  /** @param load asks the control region */
  constructor(load: () => Promise<ReadonlyArray<KnownModel>>) {
    this.load = load
  }

  /** Tells `listener` of all models, those that are off as well, each time they are loaded. There is one. */
  onHeard(listener: (models: ReadonlyMap<string, Model>) => void): void {
    this.heard = listener
  }

  async refresh(): Promise<void> {
    const loaded = await this.load()
    this.models = new Map(loaded.map((model) => [model.name, asKnown(model, this.models?.get(model.name))]))
    this.heard(this.models)
  }

  /** Those that are switched on, by name. */
  async enabled(): Promise<ReadonlyMap<string, Model>> {
    if (this.models === undefined) await this.refresh()
    return new Map([...(this.models ?? [])].filter(([, { enabled }]) => enabled))
  }
}
