// Every page of the console, in the order of its menu. To add one: a file here, and a line below.
import { adminLinks } from './admin_links.tsx'
import { agents } from './agents.tsx'
import { apiKeys } from './api_keys.tsx'
import { audit } from './audit.tsx'
import { data } from './data.tsx'
import { domains } from './domains.tsx'
import { identityProviders } from './identity_providers.tsx'
import { invitations } from './invitations.tsx'
import { members } from './members.tsx'
import { overview } from './overview.tsx'
import type { ConsolePage } from './page.ts'
import { projects } from './projects.tsx'
import { sessions } from './sessions.tsx'
import { settings } from './settings.tsx'
import { usage } from './usage.tsx'
import { webhookEndpoints } from './webhook_endpoints.tsx'
import { webhookSources } from './webhook_sources.tsx'

export interface MenuGroup {
  /** Empty for what stands above all groups. */
  title: string
  pages: ReadonlyArray<ConsolePage>
}

export const MENU: ReadonlyArray<MenuGroup> = [
  { title: '', pages: [overview] },
  { title: 'Build', pages: [projects, agents, webhookEndpoints, webhookSources] },
  {
    title: 'Access',
    pages: [apiKeys, members, invitations, adminLinks, sessions, identityProviders],
  },
  { title: 'Organisation', pages: [usage, audit, settings, domains, data] },
]

export const PAGES: ReadonlyArray<ConsolePage> = MENU.flatMap(({ pages }) => pages)
