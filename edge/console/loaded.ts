// The console and the reader of the docs, loaded with the first page that is asked for: the API starts without them.
import type { Describe } from '../openapi.ts'
import type { Stage } from '../stage.ts'
import type { ConsoleDependencies } from './visit.ts'

interface Pages {
  fetch(request: Request): Response | Promise<Response>
}

export const showing = (dependencies: ConsoleDependencies): Stage =>
  loaded(async () => (await import('./app.tsx')).createConsole(dependencies))

export const explaining = (describe: Describe): Stage =>
  loaded(async () => (await import('./app.tsx')).createDocs(describe))

function loaded(load: () => Promise<Pages>): Stage {
  let pages: Pages | undefined
  return async function showing({ request }) {
    pages ??= await load()
    return pages.fetch(request)
  }
}
