// Who asks a busy region for far more than their share, and is isolated for it.
import type { Hono } from 'hono'
import type { List } from '../api.ts'
import { Badge, EmptyState, Table, Time } from '../parts/list.tsx'
import { count } from '../parts/quotas.tsx'
import { BASE, type OperatorTypes } from './visit.ts'

interface Noisy {
  tenant: string
  slug: string
  region: string
  stage: 'slowed' | 'limited'
  askedUnitsPerSecond: number
  fairUnitsPerSecond: number
  since: string
  until: string
}

interface NoisyList extends List<Noisy> {
  more: boolean
  unreachable: ReadonlyArray<string>
}

export function noisyPages(app: Hono<OperatorTypes>): void {
  app.get('/noisy', async (c) => {
    const answer = await c.var.visit.api.get<NoisyList>('/platform/v1/noisy?limit=100')
    if (!answer.ok) return c.var.refuse(answer)
    const { data, more, unreachable } = answer.body
    return c.var.page(
      'Noisy tenants',
      <>
        {unreachable.length > 0 && (
          <div class="notice bad" role="status">
            <p>No answer from {unreachable.join(', ')}: who is isolated there is not shown.</p>
          </div>
        )}
        {data.length === 0 ? (
          <EmptyState title="Nobody is too noisy">
            <p>
              Who asks a busy region for far more than their share is slowed, then limited, and listed here
              until it ends.
            </p>
          </EmptyState>
        ) : (
          <div class="panel">
            <Table
              caption={
                more ? `The largest ${data.length} of those isolated now` : 'Isolated now, the largest first'
              }
              columns={COLUMNS}
              rows={data}
            />
          </div>
        )}
      </>,
    )
  })
}

const COLUMNS = [
  { title: 'Slug', of: ({ tenant, slug }: Noisy) => <a href={`${BASE}/tenants/${tenant}`}>{slug}</a> },
  { title: 'Region', of: ({ region }: Noisy) => region },
  { title: 'Stage', of: ({ stage }: Noisy) => <Badge kind="bad">{stage}</Badge> },
  {
    title: 'Asked for, units/s',
    number: true,
    of: ({ askedUnitsPerSecond }: Noisy) => count(askedUnitsPerSecond),
  },
  {
    title: 'Fair share, units/s',
    number: true,
    of: ({ fairUnitsPerSecond }: Noisy) => count(fairUnitsPerSecond),
  },
  { title: 'Since', of: ({ since }: Noisy) => <Time at={since} /> },
  { title: 'Until', of: ({ until }: Noisy) => <Time at={until} /> },
]
