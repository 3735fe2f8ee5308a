// The frame of the console's pages: whose it is, where to go by what one may see, and the page.
import type { Child } from 'hono/jsx'
import { allows } from '../../../shared/scopes.ts'
import type { PageLink } from '../pages/page.ts'
import type { Visit } from '../visit.ts'
import { CsrfField } from './form.tsx'

export interface LayoutProps {
  visit: Visit
  pages: ReadonlyArray<PageLink>
  /** The path of the page that is shown, below the console's own. */
  current: string
  title: string
  flash?: string | undefined
  children?: Child
}

export function Layout({ visit, pages, current, title, flash, children }: LayoutProps) {
  const { organisation, session, base } = visit
  const { displayName, logoUrl } = organisation.customisation
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={`${base}/`}>
          {logoUrl && <img src={logoUrl} alt="" />}
          {displayName ?? organisation.name}
        </a>
        <span class="who">
          {session.email ?? 'Signed in by link'} · {session.role}
        </span>
        <form method="post" action={`${base}/sign-out`}>
          <CsrfField visit={visit} />
          <button class="plain" type="submit">
            Sign out
          </button>
        </form>
      </header>
      <div class="shell">
        <nav aria-label="Console">
          <ul>
            {pages
              .filter(({ scope }) => allows(visit.scopes, scope))
              .map((page) => (
                <li>
                  <a href={`${base}/${page.path}`} {...(page.path === current && { 'aria-current': 'page' })}>
                    {page.title}
                  </a>
                </li>
              ))}
          </ul>
        </nav>
        <main id="main">
          <h1>{title}</h1>
          {flash && (
            <p class="flash" role="status">
              {flash}
            </p>
          )}
          {children}
        </main>
      </div>
    </>
  )
}

/** A page on its own, for who is not in: an error, or the way in. */
export function Alone({ title, children }: { title: string; children?: Child }) {
  return (
    <main id="main" class="alone">
      <div class="panel">
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  )
}
