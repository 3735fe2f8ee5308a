// The least that a region can be: Hono, and answers of the right size, out of nothing. To an edge that is ours it says
// what one has to know (ANSWERS, by path), and a tenant's limits (SNAPSHOT) until the edge has them (VERSION).
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const project = {
  id: 'prj_01m83xhr63e008000000000001',
  name: 'Benchmark',
  description: '',
  createdAt: '2026-11-23T10:00:00.000Z',
  updatedAt: '2026-11-23T10:00:00.000Z',
}

const answers = JSON.parse(process.env.ANSWERS ?? '{}') as Record<string, unknown>
const { SNAPSHOT: snapshot, VERSION: version } = process.env

const app = new Hono()
app.use(async (c, next) => {
  await next()
  c.header('coditect-took', '0')
  if (snapshot !== undefined && c.req.header('coditect-snapshot') !== version)
    c.header('coditect-snapshot', snapshot)
})
app.get('/edge/v1/*', (c) => c.json(answers[c.req.path] ?? null))
app.get('/v1/projects/:id', (c) => c.json(project))
app.post('/v1/projects', async (c) => c.json({ ...project, ...(await c.req.json<{ name: string }>()) }, 201))

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT) }, () =>
  process.send?.('listening'),
)
process.on('disconnect', () => process.exit(0))
