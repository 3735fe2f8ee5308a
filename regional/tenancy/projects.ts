// Projects as all services see them: what lies below one exists as long as it does. The check reads the project in the
// transaction of the work, so deleting or archiving it conflicts with every write below it that is in flight.
import type { Id } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import { notFound } from '../operation.ts'
import { jsonSpace } from '../storage/space.ts'
import type { TenantScope } from './region_database.ts'

export interface ProjectRecord {
  id: Id<'prj'>
  name: string
  description: string
  /** Null while it may be written to. */
  archivedAt: string | null
  createdAt: string
  updatedAt: string
  /** How often it has been changed. */
  version: number
}

/** In the subspace of the service `projects`. */
export const projectSpace = jsonSpace<[id: string], ProjectRecord>('project')

/** @throws {Problem} `not_found`; `project_archived` for writing in one that is archived */
export async function requireProject(scope: TenantScope, id: string, use: 'read' | 'write'): Promise<void> {
  const project = await scope.service('projects').space(projectSpace).get([id])
  if (project === undefined) throw notFound()
  if (use === 'write') requireUnarchived(project)
}

/** @throws {Problem} `project_archived` */
export function requireUnarchived({ archivedAt }: Pick<ProjectRecord, 'archivedAt'>): void {
  if (archivedAt) {
    throw new Problem('project_archived', 'The project is archived: it can be read. Restore it to change it.')
  }
}
