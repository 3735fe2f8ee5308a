// Answers /openapi.json, and /docs with the console's own style and policy. Both are for strangers, so the page is made once of
// a description, whoever looks at it.
import { type Context, Hono } from 'hono'
import { raw } from 'hono/html'
import { Problem } from '../../../shared/problems.ts'
import { type Published, publishedJson } from '../../../shared/published.ts'
import { targetOf } from '../../target.ts'
import { showing } from '../respond.tsx'
import { staticFiles } from '../static_files.ts'
import { type DescriptionDependencies, description } from './description.ts'
import { Docs, type OpenApi } from './page.tsx'

interface Made {
  etag: string
  title: string
  body: string
}

export async function createDocs(dependencies: DescriptionDependencies) {
  const { assets } = await staticFiles()
  const show = showing(assets)
  const describe = description(dependencies)
  const app = new Hono({ getPath: (request) => targetOf(request.url).path })
  app.get('/openapi.json', async (c) => publishedJson(await describe(), c.req.header('if-none-match')))
  let made: Made | undefined
  app.get('/docs', async (c: Context) => {
    const described = await describe()
    if (made?.etag !== described.etag) made = await make(described)
    return show(c, { title: made.title, body: raw(made.body) })
  })
  // Such as a path with a slash at its end, which the pipeline's router leads here as well.
  app.notFound(() => {
    throw new Problem('not_found', 'There is nothing at this path.')
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
