// Projects: what clients send and see.
import { z } from 'zod'
import { changesSomething, idSchema, nameSchema, timeSchema } from '../../schemas.ts'

export const projectId = idSchema('prj')

export const Project = z
  .object({
    id: projectId,
    name: nameSchema,
    description: z.string(),
    archivedAt: timeSchema.nullable().meta({
      description: 'Since when it, and all below it, can only be read; null while it can be changed.',
    }),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Project' })
export type Project = z.infer<typeof Project>

const description = z
  .string()
  .max(2000)
  .refine((text) => text.isWellFormed(), 'is not well-formed text')

export const CreateProject = z
  .strictObject({ name: nameSchema, description: description.default('') })
  .meta({ id: 'CreateProject' })

export const UpdateProject = z
  .strictObject({ name: nameSchema.optional(), description: description.optional() })
  .refine(...changesSomething)
  .meta({ id: 'UpdateProject' })

export const ProjectDeletion = z
  .object({ job: idSchema('job').meta({ description: 'Removes what lay below the project.' }) })
  .meta({ id: 'ProjectDeletion' })
