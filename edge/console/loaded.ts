// The console and the reader of the docs, loaded with the first page that is asked for: the API starts without them.
import type { Stage } from '../stage.ts'
import type { DescriptionDependencies } from './docs/description.ts'
import type { ConsoleDependencies } from './visit.ts'

interface Pages {
  fetch(request: Request): Response | Promise<Response>
}

export const showing = (dependencies: ConsoleDependencies): Stage =>
  loaded(async () => (await import('./app.tsx')).createConsole(dependencies))

export const describing = (dependencies: DescriptionDependencies): Stage =>
  loaded(async () => (await import('./app.tsx')).createDocs(dependencies))

function loaded(load: () => Promise<Pages>): Stage {
  let pages: Pages | undefined
  return async function showing({ request }) {
    pages ??= await load()
    return pages.fetch(request)
  }
}
