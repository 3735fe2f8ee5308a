// What an organisation has of what its plan allows, and what is said of one that asks for too much.
import { QUANTITIES, type Quantity } from '../../../shared/plans.ts'
import { Time } from './list.tsx'

/** As `GET /v1/usage` answers it, in part. */
export interface Standing {
  quotas: Readonly<Record<Quantity, { used: number; limit: number }>>
  isolation: { stage: 'slowed' | 'limited'; since: string; until: string } | null
}

export const QUANTITY_NAMES: Readonly<Record<Quantity, string>> = {
  projects: 'Projects',
  apiKeys: 'API keys',
  members: 'Members',
  identityProviders: 'Identity providers',
  domains: 'Domains',
  webhookSources: 'Webhook sources',
  webhookEndpoints: 'Webhook endpoints',
  storedBytes: 'Stored data',
  tokens: 'Tokens this month',
}

export const count = (value: number): string => value.toLocaleString('en')

const BYTE_UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const
/** `1.2 MiB` */
export function bytes(value: number): string {
  const power = Math.min(BYTE_UNITS.length - 1, value < 1 ? 0 : Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${count(power === 0 ? value : Math.round(scaled * 10) / 10)} ${BYTE_UNITS[power]}`
}

export const amount = (quantity: Quantity, value: number): string =>
  quantity === 'storedBytes' ? bytes(value) : count(value)

export const Quotas = ({ quotas }: Pick<Standing, 'quotas'>) => (
  <dl class="quotas">
    {QUANTITIES.map((quantity) => {
      const { used, limit } = quotas[quantity]
      return (
        <div>
          <dt id={`quota-${quantity}`}>{QUANTITY_NAMES[quantity]}</dt>
          <dd>
            {amount(quantity, used)} of {amount(quantity, limit)}
            <meter
              min={0}
              max={limit}
              high={limit * 0.9}
              value={used}
              aria-labelledby={`quota-${quantity}`}
            />
          </dd>
        </div>
      )
    })}
  </dl>
)

/** Nothing, for nearly everybody. */
export const IsolationNotice = ({ isolation }: Pick<Standing, 'isolation'>) =>
  isolation === null ? null : (
    <div class="notice bad" role="status">
      <p>
        <strong>{isolation.stage === 'limited' ? 'Limited' : 'Slowed'}</strong> since{' '}
        <Time at={isolation.since} />: the region is busy, and far more than this organisation’s share is
        asked for.{' '}
        {isolation.stage === 'limited'
          ? 'It has less of each turn, and a quarter of its rate limit.'
          : 'It has less of each turn.'}{' '}
        That ends by itself once less is asked for.
      </p>
    </div>
  )
