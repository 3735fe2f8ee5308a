// A tenant's life in its home region: provisioning → active ↔ suspended, until erasure.ts ends it. Every step is one transaction and may be
// repeated, so that whoever finds a tenant half made can finish it.
import { hash } from 'node:crypto'
import { DEFAULT_LINK_SECONDS } from '../../shared/admin_link.ts'
import type { EventType } from '../../shared/event_types.ts'
import {
  LIMIT_NAMES,
  type LimitName,
  type LimitOverrides,
  limitsOf,
  type PlanLimits,
  type PlanName,
  QUANTITIES,
} from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import { type SettableStatus, type TenantNumber, type TenantStatus, tenantId } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { notFound, requireMatch } from '../operation.ts'
import { auditOf } from './audit.ts'
import { emitting } from './events.ts'
import { newAttempt, type Sealer } from './idempotency.ts'
import { addMember, newMember } from './members.ts'
import type { LinkAdmin, Mint } from './mint.ts'
import {
  changeOnce,
  firstTime,
  type OperatorChange,
  type OperatorRequest,
  operatorActor,
  operatorEntry,
} from './operator_request.ts'
import {
  type AskedLink,
  keepLink,
  linkByOperator,
  linkForSignedUp,
  type MadeLink,
  newOwnerLink,
  type OwnerLink,
} from './owner_link.ts'
import { provisioningPointer } from './pointers.ts'
import { ONLY_WRITER, take } from './quotas.ts'
import {
  type AdminLinkRecord,
  type CredentialRecord,
  credentialSpace,
  type MemberRecord,
  memberSpace,
  type ProfileRecord,
  profileSpace,
  provisionedSpace,
  type ShownTenant,
  type StatusRecord,
  shownTenant,
  signedUpSpace,
  statusSpace,
} from './records.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'
import { readUsage, type UsageReport, type UsageWindow } from './usage.ts'

/** What an operator asks for. */
export interface TenantIntent {
  slug: string
  name: string
  plan: PlanName
  owner: { email: string }
  /** By the owner, at an address that a letter has confirmed. It lets them in, so nothing else is minted that does. */
  signedUp?: true | undefined
}

/** Which operator has a tenant made, by which request, and where its people will find the edge. */
export interface Maker extends OperatorRequest {
  publicOrigin: string
}

/** What the operator is answered, once. Of one that was signed up, the tenant alone. */
export interface ProvisionedTenant {
  tenant: ShownTenant
  apiKey?: { id: string; key: string }
  adminLink?: { url: string; expiresAt: string }
}

/** Into a new tenant, before anybody else can make one. */
interface FirstWays {
  key: CredentialRecord
  link: AdminLinkRecord
  shown: Required<Pick<ProvisionedTenant, 'apiKey' | 'adminLink'>>
}

export interface TenantChanges {
  name?: string | undefined
  plan?: PlanName | undefined
  /** Instead of the plan's; null for the plan's again. */
  limits?: { [Name in LimitName]?: number | null | undefined } | undefined
  status?: SettableStatus | undefined
}

/** Of a tenant that never came from elsewhere. */
const FIRST_EPOCH = 1
/** How long the answer of a tenant's making can be asked for again. */
const ANSWER_TTL_MS = 24 * 60 * 60 * 1000

export interface LifecycleDependencies {
  database: RegionDatabase
  region: string
  mint: Mint
  linkAdmin: LinkAdmin
  sealer: Sealer
  now: () => number
}

export class TenantLifecycle {
  private readonly dependencies: LifecycleDependencies
  private readonly database: RegionDatabase
  private readonly now: () => number

  constructor(dependencies: LifecycleDependencies) {
    this.dependencies = dependencies
    this.database = dependencies.database
    this.now = dependencies.now
  }

  /**
   * Writes everything that a new tenant has, but lets nobody in yet. Repeated, it answers as it first did.
   * @throws {Problem} `conflict` when the number is of a tenant that another request made, whose answer is nobody else's, or that
   * this one made so long ago that its answer is gone, or that is being erased
   */
  async provision(
    number: TenantNumber,
    intent: TenantIntent,
    by: Maker & OperatorChange,
  ): Promise<ProvisionedTenant> {
    const { slug, name, plan, owner, signedUp } = intent
    const nowMs = this.now()
    const createdAt = new Date(nowMs).toISOString()
    const profile: ProfileRecord = {
      id: tenantId(number, nowMs),
      slug,
      name,
      plan,
      region: this.dependencies.region,
      createdAt,
      updatedAt: createdAt,
      version: 1,
    }
    const { sealer } = this.dependencies
    const first = newMember({ email: owner.email, role: 'owner', decidedBy: 'organisation' }, nowMs)
    const ways = signedUp ? undefined : await this.firstWays(number, first, by, nowMs)
    const made: ProvisionedTenant = { tenant: shownTenant(profile, 'active'), ...ways?.shown }
    const bound = `provisioned ${number}`
    const sealed = sealer.seal(JSON.stringify(made), bound)
    const request = requestDigest(intent, by)

    return this.database.tenant(number, async (scope) => {
      const status = await statusOf(scope).get(['status'])
      const answer = scope.system('idempotency', provisionedSpace)
      if (status?.status === 'erasing') {
        throw new Problem(
          'conflict',
          'The tenant that this request made is being erased. Use a new Idempotency-Key.',
        )
      }
      if (status !== undefined) {
        const kept = await answer.get(['answer'])
        if (kept === undefined || kept.expiresAt <= nowMs) throw numberTaken()
        const earlier = JSON.parse(sealer.open(kept.sealed, bound)) as ProvisionedTenant
        // An earlier version did not note which request it was.
        const isSame = kept.request === undefined ? earlier.tenant.slug === slug : kept.request === request
        if (!isSame) throw numberTaken()
        // An earlier version may have made it, which did not note who signed up.
        return { value: earlier, commit: signedUp === true && (await markSignedUp(scope, owner.email)) }
      }
      statusOf(scope).set(['status'], { status: 'provisioning', epoch: FIRST_EPOCH, version: 1 })
      profileOf(scope).set(['profile'], profile)
      await addMember(scope.service('members'), first)
      await take(scope, ONLY_WRITER, 'members', 1, nowMs)
      if (ways === undefined) {
        scope.system('profile', signedUpSpace).set(['signed-up'], { member: first.id })
      } else {
        scope.system('credentials', credentialSpace).set([ways.key.id], ways.key)
        await take(scope, ONLY_WRITER, 'apiKeys', 1, nowMs)
        await keepLink(scope, ways.link, nowMs)
      }
      const expiresAt = nowMs + ANSWER_TTL_MS
      answer.set(['answer'], { sealed, expiresAt, request })
      await expireAt(scope, expiresAt, 'provisioned', 'answer', nowMs)
      auditOf(scope).append(FIRST_EPOCH, operatorEntry('tenants.create', profile.id, by, nowMs))
      emitting(scope, {
        standing: { epoch: FIRST_EPOCH },
        nowMs,
        actor: operatorActor(by),
        requestId: by.requestId,
      })('tenant.created', profile.id)
      scope.pointer(provisioningPointer).set({ since: createdAt })
      return { value: made, commit: true }
    })
  }

  /** A key, and a link for the first owner: handed to the operator. */
  private async firstWays(
    number: TenantNumber,
    first: MemberRecord,
    by: Maker,
    nowMs: number,
  ): Promise<FirstWays> {
    const { mint, linkAdmin } = this.dependencies
    const key = await mint({
      ...{ tenant: number, name: 'First key', scopes: ['*'], expiresAt: null, nowMs },
      createdBy: { kind: 'operator', id: by.operatorId },
    })
    const link = await newOwnerLink(linkAdmin, number, first, DEFAULT_LINK_SECONDS, by, nowMs)
    const shown = {
      apiKey: { id: key.record.id, key: key.text },
      adminLink: { url: link.url, expiresAt: new Date(link.record.expiresAtMs).toISOString() },
    }
    return { key: key.record, link: link.record, shown }
  }

  /** A new link for who signed up: {@link linkForSignedUp}. */
  linkForSignedUp(number: TenantNumber, asked: AskedLink, by: Maker): Promise<OwnerLink | undefined> {
    return linkForSignedUp(this.dependencies, number, asked, by)
  }

  /** A new link for an owner: {@link linkByOperator}. */
  linkByOperator(
    number: TenantNumber,
    id: string,
    asked: { email?: string | undefined; seconds: number },
    by: Maker & OperatorChange,
  ): Promise<MadeLink & { replayed: boolean }> {
    return linkByOperator(this.dependencies, number, id, asked, by)
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
      auditOf(scope).append(shown.standing.epoch, operatorEntry('tenants.read', id, by, nowMs))
      return { value: shown, commit: true }
    })
  }

  /** What the tenant has and did; undefined when there is none here. */
  usageOf(number: TenantNumber, id: string, window: UsageWindow): Promise<UsageReport | undefined> {
    return this.database.tenant(number, async (scope) => {
      const shown = await shownIn(scope)
      if (shown?.tenant.id !== id) return { value: undefined, commit: false }
      return { value: await readUsage(scope, this.now(), window), commit: false }
    })
  }

  /**
   * Asked again, it answers as it first did.
   * @throws {Problem} `not_found`, `precondition_failed`, `idempotency_key_reuse`, `conflict` for a tenant that is being erased
   */
  change(
    number: TenantNumber,
    id: string,
    changes: TenantChanges,
    ifMatch: string | undefined,
    by: OperatorChange,
  ): Promise<{ tenant: ShownTenant; version: number; replayed: boolean }> {
    const route = 'patch /platform/v1/tenants/{id}'
    const asked = { tenant: number, by, route, content: changes, attempt: newAttempt() }
    return this.database.tenant(number, async (scope) => {
      const before = await shownIn(scope)
      if (before === undefined || before.tenant.id !== id) throw notFound()
      if (before.tenant.status === 'erasing') {
        throw new Problem('conflict', 'The organisation is being erased: that cannot be undone.')
      }
      const nowMs = this.now()
      return changeOnce(scope, asked, this.dependencies.sealer, nowMs, async () => {
        requireMatch(ifMatch, `"${before.version}"`)
        return writeChanges(scope, before, changes, by, nowMs)
      })
    })
  }
}

/** Writes what an operator has changed, with all that follows from it. @returns the tenant as it is now */
async function writeChanges(
  scope: TenantScope,
  before: Shown,
  changes: TenantChanges,
  by: OperatorRequest,
  nowMs: number,
): Promise<{ tenant: ShownTenant; version: number }> {
  const { status, name, plan, limits } = changes
  const { profile, standing } = before
  const current = before.tenant.status
  const version = before.version + 1
  const after: ProfileRecord = {
    ...profile,
    name: name ?? profile.name,
    plan: plan ?? profile.plan,
    overrides: overridden(profile.overrides, limits),
    updatedAt: new Date(nowMs).toISOString(),
    version,
  }
  profileOf(scope).set(['profile'], after)
  const was = limitsOf(profile.plan, profile.overrides)
  const is = limitsOf(after.plan, after.overrides)
  requireFitting(is)
  const newsToEdges = profile.plan !== after.plan || EDGE_LIMITS.some((name) => is[name] !== was[name])
  const lowers = QUANTITIES.some((name) => is[name] < was[name])
  if ((status !== undefined && status !== current) || newsToEdges || lowers) {
    statusOf(scope).set(['status'], {
      ...standing,
      status: status ?? current,
      version: standing.version + (newsToEdges ? 1 : 0),
      ...(lowers && { lowered: (standing.lowered ?? 0) + 1 }),
    })
  }
  // Jobs that waited out the suspension go on.
  if (status === 'active' && current !== 'active') scope.wake()
  const tenant = shownTenant(after, status ?? current)
  auditOf(scope).append(standing.epoch, {
    ...operatorEntry('tenants.update', profile.id, by, nowMs),
    changed: changedFields(before, { tenant, profile: after }),
  })
  const actor = operatorActor(by)
  const told = emitting(scope, { standing, nowMs, actor, requestId: by.requestId })
  for (const type of changesTold(current, changes)) told(type, profile.id)
  return { tenant, version }
}

/** By their names alone: a value may be a person's name. */
function changedFields(before: Pick<Shown, 'tenant' | 'profile'>, after: typeof before): string[] {
  const limitIn = ({ profile: { overrides } }: typeof before, name: LimitName) => overrides?.[name]
  return [
    ...SHOWN_FIELDS.filter((name) => after.tenant[name] !== before.tenant[name]),
    ...LIMIT_NAMES.filter((name) => limitIn(after, name) !== limitIn(before, name)).map(
      (name) => `limits.${name}`,
    ),
  ]
}

const SHOWN_FIELDS = ['name', 'plan', 'status'] as const

/** What an operator's change is called in the tenant's feed: one that does two things is told as both. */
function changesTold(before: TenantStatus, { status, ...others }: TenantChanges): EventType[] {
  const types: EventType[] = []
  if (Object.values(others).some((value) => value !== undefined)) types.push('tenant.updated')
  if (status !== undefined && status !== before) {
    types.push(status === 'suspended' ? 'tenant.suspended' : 'tenant.resumed')
  }
  return types
}

/** What edges hear of, by the snapshot. */
const EDGE_LIMITS: ReadonlyArray<LimitName> = ['requestsPerSecond', 'burst', 'streams']

/** Null takes an override away. */
function overridden(before: LimitOverrides = {}, limits: TenantChanges['limits'] = {}): LimitOverrides {
  const entries = Object.entries({ ...before, ...limits })
  return Object.fromEntries(entries.filter(([, value]) => value !== null && value !== undefined))
}

/** @throws {Problem} `validation_failed` for a burst so small that the rate can't be kept up */
function requireFitting({ burst, requestsPerSecond }: PlanLimits): void {
  if (burst >= requestsPerSecond / 2) return
  const detail = `must be at least half of requestsPerSecond, which is ${requestsPerSecond}`
  throw new Problem('validation_failed', 'The limits do not fit each other. `errors` says where.', {
    errors: [{ pointer: '/limits/burst', detail }],
  })
}

/** Tells the request that makes a tenant from every other, and is the same whenever it is sent again. */
const requestDigest = (
  { slug, name, plan, owner }: TenantIntent,
  { operatorId, requestId, idempotencyKey }: OperatorChange,
): string => {
  const known = idempotencyKey === undefined ? ['request', requestId] : ['key', idempotencyKey]
  return hash('sha256', JSON.stringify([operatorId, known, slug, name, plan, owner.email]), 'base64url')
}

const numberTaken = (): Problem =>
  new Problem('conflict', 'A tenant is there already, and this request has no answer of its making.')

const statusOf = (scope: TenantScope) => scope.system('status', statusSpace)

/** @returns whether there was anything to write */
async function markSignedUp(scope: TenantScope, email: string): Promise<boolean> {
  const mark = scope.system('profile', signedUpSpace)
  const members = scope.service('members')
  const [known, { entries }] = await Promise.all([
    mark.get(['signed-up']),
    members.space(memberSpace).page({ limit: 2 }),
  ])
  const first = entries[0]?.[1]
  if (known !== undefined || first === undefined || entries.length > 1) return false
  if (first.email !== email || first.role !== 'owner' || first.identity !== null) return false
  mark.set(['signed-up'], { member: first.id })
  return true
}
const profileOf = (scope: TenantScope) => scope.system('profile', profileSpace)

interface Shown {
  tenant: ShownTenant
  profile: ProfileRecord
  version: number
  standing: StatusRecord
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
    profile,
    version: profile.version,
    standing: status,
  }
}
