// Making a tenant: a saga over two regions in which every step is repeatable.
//
//   control   reserve a number (or find the one that this request already has)
//   home      provision: everything the tenant has, in one commit; nobody is let in
//   control   claim the slug for the number: the one point at which two tenants could collide
//   home      activate
//
// Name and owner go to the home region alone. A crash after the second step leaves a pointer there, from which the
// home finishes by itself: it claims the slug, then activates, or gives up where the slug is another's.
//
// A control region whose data was lost, or is older than its homes', gives out numbers that are tenants' there. The home
// refuses them, and the request goes on with a number far behind.
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Maker, ProvisionedTenant, TenantIntent } from '../tenancy/lifecycle.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'
import type { Directory } from './directory.ts'
import type { OnceAsked, OperatorRequests } from './operator_requests.ts'

export interface Provisioning extends Maker {
  idempotencyKey: string | undefined
  region: string
  intent: TenantIntent
}

type MadeTenant = ProvisionedTenant & { number: TenantNumber; replayed: boolean }

/** Each is a million behind the one before. */
const NUMBERS_TRIED = 8

export class TenantProvisioner {
  private readonly database: RegionDatabase
  private readonly directory: Directory
  private readonly callsTo: (region: string) => Calls
  private readonly requests: OperatorRequests

  constructor(
    database: RegionDatabase,
    directory: Directory,
    callsTo: (region: string) => Calls,
    requests: OperatorRequests,
  ) {
    this.database = database
    this.directory = directory
    this.callsTo = callsTo
    this.requests = requests
  }

  /** @throws {Problem} `slug_taken`, `idempotency_key_reuse`, `region_unavailable`, `conflict` for one that was erased since */
  async make(request: Provisioning): Promise<MadeTenant> {
    const owner = await this.directory.ownerOf(request.intent.slug)
    let reserved = await this.reserve(request, owner)
    for (let tries = 1; ; tries++) {
      const { number } = reserved
      try {
        return await this.makeAs(number, request, owner, reserved.replayed)
      } catch (error) {
        const isTaken = error instanceof Problem && error.code === 'conflict'
        if (!isTaken || tries === NUMBERS_TRIED || (await this.directory.locate(number))) throw error
        await this.directory.skip(number)
        reserved = await this.reserve(request, owner, number)
      }
    }
  }

  /**
   * @param owner of the slug
   * @throws {Problem} `conflict` where the home has another tenant with this number, of which the directory may know nothing
   */
  private async makeAs(
    number: TenantNumber,
    request: Provisioning,
    owner: TenantNumber | undefined,
    replayed: boolean,
  ): Promise<MadeTenant> {
    const { region, intent, operatorId, requestId, idempotencyKey, publicOrigin } = request
    if ((await this.directory.locate(number))?.erased) {
      throw new Problem(
        'conflict',
        'The tenant that this request made was erased. Use a new Idempotency-Key.',
      )
    }
    if (owner !== undefined && owner !== number) throw slugTaken(intent.slug)
    const home = this.callsTo(region)
    const made = await home.provision({
      ...{ number, intent },
      by: { operatorId, requestId, idempotencyKey, publicOrigin },
    })
    if (!(await this.directory.claim(number, { slug: intent.slug, region }))) {
      await home.abandon({ number })
      throw slugTaken(intent.slug)
    }
    await home.activate({ number })
    return { ...made, number, replayed }
  }

  /** Whether the request has made its tenant, and it is there. */
  async hasMade(request: Provisioning): Promise<boolean> {
    const [earlier, owner] = await Promise.all([
      this.database.platform(async (scope) => ({
        value: await this.requests.before(scope, onceAsked(request)),
        commit: false,
      })),
      this.directory.ownerOf(request.intent.slug),
    ])
    return owner !== undefined && owner === earlier?.number
  }

  /**
   * @param owner of the slug: whose request is refused for it has used up no Idempotency-Key
   * @param refused a number that the home has refused: the request has another from now on, the same for all who carry it out
   * @throws {Problem} `slug_taken`, `idempotency_key_reuse`
   */
  private async reserve(
    request: Provisioning,
    owner: TenantNumber | undefined,
    refused?: TenantNumber,
  ): Promise<{ number: TenantNumber; replayed: boolean }> {
    const fresh = await this.directory.allocate()
    return this.database.platform(async (scope) => {
      const { number } = (await this.requests.before(scope, onceAsked(request), fresh, refused)) ?? {}
      if (number === undefined && owner !== undefined) throw slugTaken(request.intent.slug)
      if (number === undefined) return { value: { number: fresh, replayed: false }, commit: true }
      return { value: { number, replayed: number !== fresh }, commit: false }
    })
  }
}

const onceAsked = (request: Provisioning): OnceAsked => {
  // Who asks says that as well, and earlier versions asked without it.
  const { signedUp: _, ...intent } = request.intent
  return { ...request, content: [request.region, intent] }
}

export const slugTaken = (slug: string): Problem =>
  new Problem('slug_taken', `Another organisation has the slug ${slug}.`)
