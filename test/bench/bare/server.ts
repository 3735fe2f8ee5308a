// The least that a region can be: Hono, and answers of the right size, out of nothing.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const project = {
  id: 'prj_01m83xhr63e008000000000001',
  name: 'Benchmark',
  description: '',
  createdAt: '2026-11-23T10:00:00.000Z',
  updatedAt: '2026-11-23T10:00:00.000Z',
}

const app = new Hono()
app.get('/v1/projects/:id', (c) => c.json(project))
app.post('/v1/projects', async (c) => c.json({ ...project, ...(await c.req.json<{ name: string }>()) }, 201))

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT) }, () =>
  process.send?.('listening'),
)
process.on('disconnect', () => process.exit(0))
