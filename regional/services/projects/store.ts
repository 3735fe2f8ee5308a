// Projects as they are kept: one entry each, in the order they were made.
import type { EventType } from '../../../shared/event_types.ts'
import { newId } from '../../../shared/ids.ts'
import { type ProjectRecord, projectSpace, requireUnarchived } from '../../tenancy/projects.ts'
import { notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'
import type { Project } from './schema.ts'

/** @throws {Problem} `quota_exceeded` */
export async function createProject(
  tx: TenantTransaction,
  { name, description }: Pick<Project, 'name' | 'description'>,
): Promise<ProjectRecord> {
  await tx.take('projects', 1)
  const { nowMs } = tx.context
  const createdAt = new Date(nowMs).toISOString()
  const project = {
    id: newId('prj', nowMs),
    name,
    description,
    archivedAt: null,
    createdAt,
    updatedAt: createdAt,
    version: 1,
  }
  tx.space(projectSpace).set([project.id], project)
  tx.emit('project.created', project.id)
  return project
}

/** @throws {Problem} `not_found` */
export async function readProject(tx: TenantTransaction, id: string): Promise<ProjectRecord> {
  const project = await tx.space(projectSpace).get([id])
  if (project === undefined) throw notFound()
  return project
}

export const listProjects = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], ProjectRecord>> => tx.space(projectSpace).page({ limit, after })

export interface ProjectChanges {
  name?: string | undefined
  description?: string | undefined
}

/** @throws {Problem} `project_archived` */
export function updateProject(
  tx: TenantTransaction,
  before: ProjectRecord,
  { name = before.name, description = before.description }: ProjectChanges,
): ProjectRecord {
  requireUnarchived(before)
  return write(tx, { ...before, name, description }, 'project.updated')
}

/** Archived, everything in it can be read and nothing changed. Repeatable. */
export function archiveProject(tx: TenantTransaction, before: ProjectRecord): ProjectRecord {
  if (before.archivedAt) return before
  return write(tx, { ...before, archivedAt: new Date(tx.context.nowMs).toISOString() }, 'project.archived')
}

/** Repeatable. */
export function restoreProject(tx: TenantTransaction, before: ProjectRecord): ProjectRecord {
  return before.archivedAt ? write(tx, { ...before, archivedAt: null }, 'project.restored') : before
}

function write(tx: TenantTransaction, changed: ProjectRecord, event: EventType): ProjectRecord {
  const updatedAt = new Date(tx.context.nowMs).toISOString()
  const project = { ...changed, updatedAt, version: changed.version + 1 }
  tx.space(projectSpace).set([project.id], project)
  tx.emit(event, project.id)
  return project
}

/** It is gone for every reader; what lies below it is left for a job to remove. */
export async function deleteProject(tx: TenantTransaction, id: string): Promise<void> {
  await tx.take('projects', -1)
  tx.space(projectSpace).clear([id])
  tx.emit('project.deleted', id)
}
