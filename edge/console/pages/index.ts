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
import { webhookEndpoints } from './webhook_endpoints.tsx'
import { webhookSources } from './webhook_sources.tsx'

export const PAGES: ReadonlyArray<ConsolePage> = [
  overview,
  projects,
  agents,
  webhookEndpoints,
  webhookSources,
  apiKeys,
  members,
  invitations,
  adminLinks,
  sessions,
  identityProviders,
  audit,
  settings,
  domains,
  data,
]
