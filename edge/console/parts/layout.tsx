// The frame of the console's pages: whose it is, where to go by what one may see, and the page.
import type { Child } from 'hono/jsx'
import { CsrfField, type FormOwner } from './form.tsx'

export interface MenuLink {
  href: string
  title: string
  current: boolean
}

export interface FrameProps {
  /** Whose forms the page has. */
  owner: FormOwner
  /** Below which all of it lies, without a slash at its end. */
  base: string
  /** Of the menu, for who hears the page. */
  name: string
  brand: Child
  who: Child
  menu: ReadonlyArray<{ title: string; links: ReadonlyArray<MenuLink> }>
  /** What the page lies in, from the outside to the inside. */
  above?: ReadonlyArray<{ href: string; title: string }>
  title: string
  flash?: string | undefined
  children?: Child
}

/** The menu stands beside a wide page; above a narrow one a button opens it, without script. */
export const Frame = (props: FrameProps) => (
  <>
    <a class="skip" href="#main">
      Skip to the content
    </a>
    <header class="top">
      <a class="brand" href={`${props.base}/`}>
        {props.brand}
      </a>
      <button class="plain menu-button" type="button" popovertarget="menu">
        Menu
      </button>
      <span class="who">{props.who}</span>
      <form method="post" action={`${props.base}/sign-out`}>
        <CsrfField visit={props.owner} />
        <button class="plain" type="submit">
          Sign out
        </button>
      </form>
    </header>
    <div class="shell">
      <nav class="menu" id="menu" popover="auto" aria-label={props.name}>
        {props.menu
          .filter(({ links }) => links.length > 0)
          .map(({ title, links }) => (
            <>
              {title !== '' && <p class="group">{title}</p>}
              <ul>
                {links.map(({ href, title, current }) => (
                  <li>
                    <a href={href} {...(current && { 'aria-current': 'page' })}>
                      {title}
                    </a>
                  </li>
                ))}
              </ul>
            </>
          ))}
      </nav>
      <main id="main">
        {props.above !== undefined && props.above.length > 0 && (
          <nav class="above" aria-label="Where you are">
            <ol>
              {props.above.map(({ href, title }) => (
                <li>
                  <a href={href}>{title}</a>
                </li>
              ))}
            </ol>
          </nav>
        )}
        <h1>{props.title}</h1>
        {props.flash && (
          <p class="flash" role="status">
            {props.flash}
          </p>
        )}
        {props.children}
      </main>
    </div>
  </>
)

/** A page on its own, for who is not in: an error, or the way in. */
export function Alone({
  title,
  logoUrl,
  children,
}: {
  title: string
  logoUrl?: string | null
  children?: Child
}) {
  return (
    <main id="main" class="alone">
      <div class="panel">
        {logoUrl && <img class="logo" src={logoUrl} alt="" />}
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  )
}
