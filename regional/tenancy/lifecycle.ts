// A tenant's life in its home region: provisioning → active ↔ suspended, until erasure.ts ends it. Every step is one transaction and may be
// repeated, so that whoever finds a tenant half made can finish it.
import { type PlanName, QUANTITIES } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import { type SettableStatus, type TenantNumber, tenantId } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { notFound, requireMatch } from '../operation.ts'
import { auditOf } from './audit.ts'
import type { Sealer } from './idempotency.ts'
import { addMember, newMember } from './members.ts'
import type { Mint } from './mint.ts'
import { firstTime, type OperatorRequest, operatorEntry } from './operator_request.ts'
import { provisioningPointer } from './pointers.ts'
import { ONLY_WRITER, take, withdrawAllowances } from './quotas.ts'
import {
  credentialSpace,
  type ProfileRecord,
  profileSpace,
  provisionedSpace,
  type ShownTenant,
  shownTenant,
  statusSpace,
} from './records.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'

/** What an operator asks for. */
export interface TenantIntent {
  slug: string
  name: string
  plan: PlanName
  owner: { email: string }
}

/** What the operator is answered, once. */
export interface ProvisionedTenant {
  tenant: ShownTenant
  apiKey: { id: string; key: string }
}

export interface TenantChanges {
  name?: string | undefined
  plan?: PlanName | undefined
  status?: SettableStatus | undefined
}

/** Of a tenant that never came from elsewhere. */
const FIRST_EPOCH = 1
/** How long the answer of a tenant's making can be asked for again. */
const ANSWER_TTL_MS = 24 * 60 * 60 * 1000

export class TenantLifecycle {
  private readonly database: RegionDatabase
  private readonly region: string
  private readonly mint: Mint
  private readonly sealer: Sealer
  private readonly now: () => number

  constructor(database: RegionDatabase, region: string, mint: Mint, sealer: Sealer, now: () => number) {
    this.database = database
    this.region = region
    this.mint = mint
    this.sealer = sealer
    this.now = now
  }

  /**
   * Writes everything that a new tenant has, but lets nobody in yet. Repeated, it answers as it first did.
   * @throws {Problem} `not_found` when it was made so long ago that its answer is gone.
   */
  async provision(
    number: TenantNumber,
    { slug, name, plan, owner }: TenantIntent,
  ): Promise<ProvisionedTenant> {
    const nowMs = this.now()
    const createdAt = new Date(nowMs).toISOString()
    const profile: ProfileRecord = {
      id: tenantId(number, nowMs),
      slug,
      name,
      plan,
      region: this.region,
      createdAt,
      updatedAt: createdAt,
      version: 1,
    }
    const key = await this.mint({ tenant: number, name: 'First key', scopes: ['*'], expiresAt: null, nowMs })
    const made = { tenant: shownTenant(profile, 'active'), apiKey: { id: key.record.id, key: key.text } }
    const bound = `provisioned ${number}`
    const sealed = this.sealer.seal(JSON.stringify(made), bound)

    return this.database.tenant(number, async (scope) => {
      const status = await statusOf(scope).get(['status'])
      const answer = scope.system('idempotency', provisionedSpace)
      if (status !== undefined) {
        const kept = await answer.get(['answer'])
        if (kept === undefined || kept.expiresAt <= nowMs) throw notFound()
        const earlier = JSON.parse(this.sealer.open(kept.sealed, bound)) as ProvisionedTenant
        return { value: earlier, commit: false }
      }
      statusOf(scope).set(['status'], { status: 'provisioning', epoch: FIRST_EPOCH, version: 1 })
      profileOf(scope).set(['profile'], profile)
      scope.system('credentials', credentialSpace).set([key.record.id], key.record)
      await take(scope, ONLY_WRITER, 'apiKeys', 1)
      const first = newMember({ email: owner.email, role: 'owner', decidedBy: 'organisation' }, nowMs)
      await addMember(scope.service('members'), first)
      await take(scope, ONLY_WRITER, 'members', 1)
      const expiresAt = nowMs + ANSWER_TTL_MS
      answer.set(['answer'], { sealed, expiresAt })
      await expireAt(scope, expiresAt, 'provisioned', 'answer', nowMs)
      scope.pointer(provisioningPointer).set({ since: createdAt })
      return { value: made, commit: true }
    })
  }

  /** Lets the tenant in. @throws {Problem} `not_found` */
  activate(number: TenantNumber): Promise<void> {
    return this.database.tenant(number, async (scope) => {
      const status = await statusOf(scope).get(['status'])
      if (status === undefined) throw notFound()
      if (status.status !== 'provisioning') return { value: undefined, commit: false }
      statusOf(scope).set(['status'], { ...status, status: 'active' })
      scope.pointer(provisioningPointer).clear()
      return { value: undefined, commit: true }
    })
  }

  /** Undoes a making that cannot be finished. Touches no tenant that was ever let in. */
  abandon(number: TenantNumber): Promise<void> {
    return this.database.tenant(number, async (scope) => {
      const status = await statusOf(scope).get(['status'])
      if (status?.status !== 'provisioning') return { value: undefined, commit: false }
      scope.erase()
      scope.pointer(provisioningPointer).clear()
      return { value: undefined, commit: true }
    })
  }

  /** The slug of a tenant whose making is not finished; undefined for any other. */
  unfinished(number: TenantNumber): Promise<string | undefined> {
    return this.database.tenant(number, async (scope) => {
      const [status, profile] = await Promise.all([
        statusOf(scope).get(['status']),
        profileOf(scope).get(['profile']),
      ])
      return { value: status?.status === 'provisioning' ? profile?.slug : undefined, commit: false }
    })
  }

  /** The tenant and its version; undefined when there is none here that was let in. */
  read(number: TenantNumber): Promise<{ tenant: ShownTenant; version: number } | undefined> {
    return this.database.tenant(number, async (scope) => ({ value: await shownIn(scope), commit: false }))
  }

  /** As {@link read}, for an operator who looks at this one tenant: told in its audit trail. */
  readFor(
    number: TenantNumber,
    id: string,
    by: OperatorRequest,
  ): Promise<{ tenant: ShownTenant; version: number } | undefined> {
    return this.database.tenant(number, async (scope) => {
      const shown = await shownIn(scope)
      if (shown?.tenant.id !== id) return { value: undefined, commit: false }
      // Nothing is written any more where everything is being cleared.
      if (shown.tenant.status === 'erasing') return { value: shown, commit: false }
      const nowMs = this.now()
      if (!(await firstTime(scope, by, nowMs))) return { value: shown, commit: false }
      auditOf(scope).append(shown.epoch, operatorEntry('tenants.read', id, by, nowMs))
      return { value: shown, commit: true }
    })
  }

  /** @throws {Problem} `not_found`, `precondition_failed`, `conflict` for a tenant that is being erased */
  change(
    number: TenantNumber,
    id: string,
    { status, ...changes }: TenantChanges,
    ifMatch: string | undefined,
    by: OperatorRequest,
  ): Promise<{ tenant: ShownTenant; version: number }> {
    return this.database.tenant(number, async (scope) => {
      const before = await shownIn(scope)
      if (before === undefined || before.tenant.id !== id) throw notFound()
      if (before.tenant.status === 'erasing') {
        throw new Problem('conflict', 'The organisation is being erased: that cannot be undone.')
      }
      const nowMs = this.now()
      if (!(await firstTime(scope, by, nowMs))) return { value: before, commit: false }
      requireMatch(ifMatch, `"${before.version}"`)
      const { status: current, ...profile } = before.tenant
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
      const version = before.version + 1
      const after: ProfileRecord = {
        ...profile,
        ...given,
        updatedAt: new Date(nowMs).toISOString(),
        version,
      }
      profileOf(scope).set(['profile'], after)
      if (profile.plan !== after.plan) await withdrawAllowances(scope, QUANTITIES)
      const snapshotVersion = before.snapshotVersion + (profile.plan === after.plan ? 0 : 1)
      if ((status !== undefined && status !== current) || snapshotVersion !== before.snapshotVersion) {
        const { epoch } = before
        statusOf(scope).set(['status'], { status: status ?? current, epoch, version: snapshotVersion })
      }
      // Jobs that waited out the suspension go on.
      if (status === 'active' && current !== 'active') scope.wake()
      auditOf(scope).append(before.epoch, operatorEntry('tenants.update', id, by, nowMs))
      return { value: { tenant: shownTenant(after, status ?? current), version }, commit: true }
    })
  }
}

const statusOf = (scope: TenantScope) => scope.system('status', statusSpace)
const profileOf = (scope: TenantScope) => scope.system('profile', profileSpace)

interface Shown {
  tenant: ShownTenant
  version: number
  epoch: number
  snapshotVersion: number
}

async function shownIn(scope: TenantScope): Promise<Shown | undefined> {
  const [status, profile] = await Promise.all([
    statusOf(scope).get(['status']),
    profileOf(scope).get(['profile']),
  ])
  if (status === undefined || profile === undefined) return undefined
  if (status.status === 'provisioning' || status.status === 'moved') return undefined
  return {
    tenant: shownTenant(profile, status.status),
    version: profile.version,
    epoch: status.epoch,
    snapshotVersion: status.version,
  }
}
