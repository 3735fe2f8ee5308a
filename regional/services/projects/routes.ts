// /v1/projects: made, changed, archived and restored, and deleted with all that lies below them.
import { z } from 'zod'
import type { ProjectRecord } from '../../tenancy/projects.ts'
import {
  pageBody,
  pageOf,
  pageQuery,
  type Reply,
  readCursor,
  requireMatch,
  type Service,
  tenantOperation,
  versionTag,
} from '../../tenancy/service.ts'
import { projectDeletion } from './deletion.ts'
import { CreateProject, Project, ProjectDeletion, projectId, UpdateProject } from './schema.ts'
import {
  archiveProject,
  createProject,
  deleteProject,
  listProjects,
  readProject,
  restoreProject,
  updateProject,
} from './store.ts'

const LIST = 'projects'
const one = z.object({ id: projectId })

const shown = ({ version: _, ...project }: ProjectRecord): Project => project

const reply = (status: number, project: ProjectRecord): Reply => ({
  status,
  body: shown(project),
  headers: { etag: versionTag(project) },
})

/** @param all every service of the platform: some keep things below projects */
export function projects(all: () => ReadonlyArray<Service>): Service {
  const deletion = projectDeletion(all)
  return {
    name: 'projects',
    jobKinds: [deletion],
    operations: [
      tenantOperation({
        name: 'create',
        method: 'post',
        path: '/v1/projects',
        tag: 'Projects',
        summary: 'Create a project',
        scope: 'projects:write',
        body: CreateProject,
        answers: { 201: Project },
        problems: ['quota_exceeded'],
        async handle(tx, { body }) {
          const project = await createProject(tx, body)
          const answer = reply(201, project)
          return { ...answer, headers: { ...answer.headers, location: `/v1/projects/${project.id}` } }
        },
      }),
      tenantOperation({
        name: 'list',
        method: 'get',
        path: '/v1/projects',
        tag: 'Projects',
        summary: 'List projects, oldest first',
        scope: 'projects:read',
        query: pageQuery,
        answers: { 200: pageOf(Project) },
        async handle(tx, { query }) {
          const page = await listProjects(tx, query.limit, readCursor(LIST, query.cursor))
          return { status: 200, body: pageBody(LIST, page, shown) }
        },
      }),
      tenantOperation({
        name: 'read',
        method: 'get',
        path: '/v1/projects/{id}',
        tag: 'Projects',
        summary: 'Read a project',
        scope: 'projects:read',
        params: one,
        answers: { 200: Project },
        handle: async (tx, { params }) => reply(200, await readProject(tx, params.id)),
      }),
      tenantOperation({
        name: 'update',
        method: 'patch',
        path: '/v1/projects/{id}',
        tag: 'Projects',
        summary: 'Change a project',
        scope: 'projects:write',
        params: one,
        body: UpdateProject,
        answers: { 200: Project },
        problems: ['precondition_failed', 'project_archived'],
        async handle(tx, { params, body, ifMatch }) {
          const before = await readProject(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          return reply(200, updateProject(tx, before, body))
        },
      }),
      ...(['archive', 'restore'] as const).map((name) =>
        tenantOperation({
          name,
          method: 'post',
          path: `/v1/projects/{id}/${name}`,
          tag: 'Projects',
          summary:
            name === 'archive'
              ? 'Archive a project: it and all below it can be read, and not changed'
              : 'Restore an archived project',
          scope: 'projects:write',
          params: one,
          answers: { 200: Project },
          problems: ['precondition_failed'],
          async handle(tx, { params, ifMatch }) {
            const before = await readProject(tx, params.id)
            requireMatch(ifMatch, versionTag(before))
            return reply(200, name === 'archive' ? archiveProject(tx, before) : restoreProject(tx, before))
          },
        }),
      ),
      tenantOperation({
        name: 'delete',
        method: 'delete',
        path: '/v1/projects/{id}',
        tag: 'Projects',
        summary: 'Delete a project, and by a job everything below it',
        scope: 'projects:write',
        params: one,
        answers: { 202: ProjectDeletion },
        problems: ['precondition_failed'],
        async handle(tx, { params, ifMatch }) {
          const before = await readProject(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          await deleteProject(tx, before.id)
          const job = tx.enqueue(deletion, { projectId: before.id })
          return { status: 202, body: { job }, headers: { location: `/v1/jobs/${job}` } }
        },
      }),
    ],
  }
}
