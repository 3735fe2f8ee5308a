// Every tenant-aware service. To add one: a folder here, and a line below.
import type { Mint } from '../tenancy/mint.ts'
import type { Service } from '../tenancy/service.ts'
import { apiKeys } from './api-keys/routes.ts'
import { audit } from './audit/routes.ts'
import { jobs } from './jobs/routes.ts'
import { projects } from './projects/routes.ts'
import { tenant } from './tenant/routes.ts'
import { usage } from './usage/routes.ts'

export const services = (mint: Mint): ReadonlyArray<Service> => [
  tenant,
  apiKeys(mint),
  projects,
  audit,
  usage,
  jobs,
]
