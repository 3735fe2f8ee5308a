// Regions, as an operator sees them: which of them answer, and how much they have to do.
import type { Hono } from 'hono'
import type { List } from '../api.ts'
import { Badge, Table, Time } from '../parts/list.tsx'
import type { OperatorTypes } from './visit.ts'

interface Region {
  name: string
  status: 'up' | 'unreachable'
  load: {
    startedAt: string
    instances: number
    /** A region that still runs an earlier version does not say. */
    readiness?: 'ready' | 'draining' | 'overloaded' | 'no_database'
    utilisation: number
    memoryBytes: number
  } | null
}

const UNKNOWN = '–'

export function regionPages(app: Hono<OperatorTypes>): void {
  app.get('/regions', async (c) => {
    const answer = await c.var.visit.api.get<List<Region>>('/platform/v1/regions?limit=100')
    if (!answer.ok) return c.var.refuse(answer)
    return c.var.page(
      'Regions',
      <div class="panel">
        <Table caption="What runs, and how loaded it is" columns={COLUMNS} rows={answer.body.data} />
        <p>
          <small>
            All but the name is of one process of the region, whichever answered, and how busy it is of its
            last second. What all of them do, <code>/metrics</code> of each says.
          </small>
        </p>
      </div>,
    )
  })
}

/** One that answers may have no database, or too much to do. */
const stateOf = ({ status, load }: Region): string =>
  load?.readiness === undefined || load.readiness === 'ready' ? status : load.readiness

const COLUMNS = [
  { title: 'Region', of: ({ name }: Region) => name },
  {
    title: 'Status',
    of: (region: Region) => {
      const state = stateOf(region)
      return <Badge kind={state === 'up' ? 'good' : 'bad'}>{state.replaceAll('_', ' ')}</Badge>
    },
  },
  { title: 'Instances', number: true, of: ({ load }: Region) => load?.instances ?? UNKNOWN },
  {
    title: 'Busy',
    number: true,
    of: ({ load }: Region) => (load === null ? UNKNOWN : `${Math.round(load.utilisation * 100)} %`),
  },
  {
    title: 'Memory',
    number: true,
    of: ({ load }: Region) => (load === null ? UNKNOWN : `${Math.round(load.memoryBytes / 2 ** 20)} MiB`),
  },
  { title: 'Since', of: ({ load }: Region) => (load === null ? UNKNOWN : <Time at={load.startedAt} />) },
]
