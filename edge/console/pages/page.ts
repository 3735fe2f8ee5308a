// What a page of the console is. To add one: a file here that makes one of these, and a line in index.ts.
import type { Hono } from 'hono'
import type { Scope } from '../../../shared/scopes.ts'
import type { ConsoleTypes } from '../visit.ts'

/** In the menu. */
export interface PageLink {
  /** Below `/admin/{slug}/`; empty for the first page. */
  path: string
  title: string
  /** What someone has to be allowed to see it. The API holds them to that; the menu only leaves the link out. */
  scope: Scope
}

export interface ConsolePage extends PageLink {
  /** What it says after a form that went well, by the word in `?done=`. */
  messages?: Readonly<Record<string, string>>
  /** Its routes, relative to its path; a POST has its form checked before. */
  routes(app: Hono<ConsoleTypes>): void
}
