// Projects as they are kept: one entry each, in the order they were made.
import { newId } from '../../../shared/ids.ts'
import { jsonSpace, notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'
import type { Project } from './schema.ts'

/** A project and how often it has been changed: its version. */
export interface ProjectRecord extends Project {
  version: number
}

const projects = jsonSpace<[id: string], ProjectRecord>('project')

/** @throws {Problem} `quota_exceeded` */
export async function createProject(
  tx: TenantTransaction,
  { name, description }: Pick<Project, 'name' | 'description'>,
): Promise<ProjectRecord> {
  await tx.take('projects', 1)
  const { nowMs } = tx.context
  const createdAt = new Date(nowMs).toISOString()
  const project = { id: newId('prj', nowMs), name, description, createdAt, updatedAt: createdAt, version: 1 }
  tx.space(projects).set([project.id], project)
  tx.emit('project.created', project.id)
  return project
}

/** @throws {Problem} `not_found` */
export async function readProject(tx: TenantTransaction, id: string): Promise<ProjectRecord> {
  const project = await tx.space(projects).get([id])
  if (project === undefined) throw notFound()
  return project
}

export const listProjects = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], ProjectRecord>> => tx.space(projects).page({ limit, after })

export interface ProjectChanges {
  name?: string | undefined
  description?: string | undefined
}

export function updateProject(
  tx: TenantTransaction,
  before: ProjectRecord,
  { name = before.name, description = before.description }: ProjectChanges,
): ProjectRecord {
  const updatedAt = new Date(tx.context.nowMs).toISOString()
  const project = { ...before, name, description, updatedAt, version: before.version + 1 }
  tx.space(projects).set([project.id], project)
  tx.emit('project.updated', project.id)
  return project
}

export async function deleteProject(tx: TenantTransaction, id: string): Promise<void> {
  await tx.take('projects', -1)
  tx.space(projects).clear([id])
  tx.emit('project.deleted', id)
}
