// Answers /docs, with the console's own style and policy. The page is made once of a description, whoever looks at it.
import { type Context, Hono } from 'hono'
import { raw } from 'hono/html'
import type { Published } from '../../../shared/published.ts'
import type { Describe } from '../../openapi.ts'
import { showing } from '../respond.tsx'
import { staticFiles } from '../static_files.ts'
import { Docs, type OpenApi } from './page.tsx'

interface Made {
  etag: string
  title: string
  body: string
}

export async function createDocs(describe: Describe) {
  const { assets } = await staticFiles()
  const show = showing(assets)
  const app = new Hono()
  let made: Made | undefined
  app.get('/docs', async (c: Context) => {
    const description = await describe()
    if (made?.etag !== description.etag) made = await make(description)
    return show(c, { title: made.title, body: raw(made.body) })
  })
  // The edge gives refusals their answers.
  app.onError((error) => {
    throw error
  })
  return app
}

async function make({ text, etag }: Published): Promise<Made> {
  const document = JSON.parse(text) as OpenApi
  const body = await (<Docs document={document} />)
  return { etag, title: `${document.info.title} API`, body: String(body) }
}
