// Answers /docs, with the console's own style and policy.
import { type Context, Hono } from 'hono'
import { showing } from '../respond.tsx'
import { staticFiles } from '../static_files.ts'
import { Docs, type OpenApi } from './page.tsx'

/** @param read asks for the document, as any client does */
export async function createDocs(read: (request: Request) => Promise<Response>) {
  const { assets } = await staticFiles()
  const show = showing(assets)
  const app = new Hono()
  app.get('/docs', async (c: Context) => {
    const answer = await read(
      new Request(new URL('/openapi.json', c.req.url), { headers: c.req.raw.headers }),
    )
    if (!answer.ok) return answer
    const document = (await answer.json()) as OpenApi
    return show(c, { title: `${document.info.title} API`, body: <Docs document={document} /> })
  })
  return app
}
