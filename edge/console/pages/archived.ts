// A project that is archived is read, and not changed: the pages of what is in it offer nothing that the API would refuse.
import { allows, type Scope } from '../../../shared/scopes.ts'
import type { Visit } from '../visit.ts'

/** Whether a page may offer to change what is in the project. Where that cannot be told now, the API says so later. */
export async function mayWriteIn({ api, scopes }: Visit, project: string, scope: Scope): Promise<boolean> {
  if (!allows(scopes, scope)) return false
  const answer = await api.get<{ archivedAt: string | null }>(`/v1/projects/${encodeURIComponent(project)}`)
  return !answer.ok || answer.body.archivedAt === null
}
