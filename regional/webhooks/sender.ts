// Sends one event to one endpoint: signed, with the endpoint's own headers.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Log } from '../log.ts'
import type { Called, Outbound } from '../outbound/client.ts'
import type { TenantEvent } from '../tenancy/events.ts'
import type { Sealer } from '../tenancy/idempotency.ts'
import { payloadOf } from './payload.ts'
import { boundTo, type EndpointRecord } from './records.ts'
import { importSecrets, type Signer, type SigningSecrets, signatureOf } from './signature.ts'

export interface SenderDependencies {
  outbound: Outbound
  sealer: Sealer
  now: () => number
  log: Log
}

/** Secrets and headers that are kept opened; a tenant has about so many endpoints at most. */
const MAX_OPENED = 2_000

export class Sender {
  private readonly dependencies: SenderDependencies
  private readonly tenant: TenantNumber
  private readonly signal: AbortSignal
  /** By the sealed text. */
  private readonly signers = new Map<string, Promise<Signer>>()
  private readonly headers = new Map<string, Record<string, string>>()

  /** @param signal ends what is in flight */
  constructor(dependencies: SenderDependencies, tenant: TenantNumber, signal: AbortSignal) {
    this.dependencies = dependencies
    this.tenant = tenant
    this.signal = signal
  }

  /** @returns `aborted` when it was not its receiver's doing that it ended: what became of it is unknown */
  async send(endpoint: EndpointRecord, event: TenantEvent): Promise<Called | 'aborted'> {
    const { outbound, now, log } = this.dependencies
    const nowMs = now()
    const seconds = Math.floor(nowMs / 1_000)
    const body = JSON.stringify(payloadOf(event))
    let signature: string
    let own: Record<string, string>
    try {
      const live = endpoint.signers.filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
      const signers = await Promise.all(live.map(({ sealed }) => this.signer(endpoint, sealed)))
      signature = await signatureOf(signers, event.id, seconds, body)
      own = this.headersOf(endpoint)
    } catch (error) {
      log.error('a webhook could not be signed', { endpoint: endpoint.id, error })
      return { outcome: 'unreachable', durationMs: 0 }
    }
    const called = await outbound.post({
      url: endpoint.url,
      headers: {
        ...own,
        'content-type': 'application/json',
        'user-agent': 'Coditect-Webhooks/1.0',
        'webhook-id': event.id,
        'webhook-timestamp': String(seconds),
        'webhook-signature': signature,
      },
      body,
      signal: this.signal,
    })
    return this.signal.aborted && called.outcome !== 'answered' ? 'aborted' : called
  }

  private signer({ id }: EndpointRecord, sealed: string): Promise<Signer> {
    const known = this.signers.get(sealed)
    if (known !== undefined) return known
    const secrets = JSON.parse(this.dependencies.sealer.open(sealed, boundTo(this.tenant, id)))
    const fresh = importSecrets(secrets as SigningSecrets)
    if (this.signers.size >= MAX_OPENED) this.signers.clear()
    this.signers.set(sealed, fresh)
    return fresh
  }

  private headersOf({ id, sealedHeaders }: EndpointRecord): Record<string, string> {
    if (sealedHeaders === null) return {}
    const known = this.headers.get(sealedHeaders)
    if (known !== undefined) return known
    const opened = JSON.parse(this.dependencies.sealer.open(sealedHeaders, boundTo(this.tenant, id)))
    if (this.headers.size >= MAX_OPENED) this.headers.clear()
    this.headers.set(sealedHeaders, opened as Record<string, string>)
    return opened as Record<string, string>
  }
}
