// The HTML around every page: style and scripts from this host alone, nothing inline but the tenant's accent colour,
// which has the page's nonce.
import { html } from 'hono/html'
import type { Child } from 'hono/jsx'
import type { Assets } from '../static_files.ts'
import type { Customisation } from '../visit.ts'
import { readableAccent } from './accent.ts'

export interface DocumentProps {
  title: string
  assets: Assets
  nonce: string
  customisation?: Customisation | undefined
  /** Parts of the page renew themselves. */
  live?: boolean
  refresh?: string | undefined
  children?: Child
}

/**
 * Nothing is evaluated, nothing is styled from script, and what is swapped in comes from this host. A part that renews
 * itself is patched, so that focus and what somebody has opened in it stay; without a good answer it stays as it is.
 */
const HTMX = JSON.stringify({
  includeIndicatorCSS: false,
  history: false,
  defaultSwap: 'outerMorph',
  morphIgnore: ['data-htmx-powered', 'open'],
  noSwap: [204, 304, '4xx', '5xx'],
})

export function Document({
  title,
  assets,
  nonce,
  customisation,
  live = false,
  refresh,
  children,
}: DocumentProps) {
  const accent = customisation?.accentColor ? readableAccent(customisation.accentColor) : undefined
  const colors = accent && `:root{--accent-light:${accent.onLight};--accent-dark:${accent.onDark}}`
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta name="robots" content="noindex" />
        <title>{title}</title>
        {refresh && <meta http-equiv="refresh" content={`0; url=${refresh}`} />}
        <link rel="icon" type="image/svg+xml" href={assets.icon} />
        <link rel="stylesheet" href={assets.style} />
        {colors && <style nonce={nonce}>{html`${colors}`}</style>}
        {live && <meta name="htmx-config" content={HTMX} />}
        {live && <script src={assets.htmx} defer />}
        <script src={assets.script} defer />
      </head>
      <body>{children}</body>
    </html>
  )
}
