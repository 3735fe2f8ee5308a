// Agents and their runs: what clients send and see.
import { z } from 'zod'
import { CALL_FAILURES } from '../../models/gateway.ts'
import { MODEL_NAME } from '../../models/model.ts'
import { changesSomething, idSchema, nameSchema, timeSchema } from '../../schemas.ts'

export const projectId = idSchema('prj')
export const agentId = idSchema('agt')
export const runId = idSchema('run')

const MAX_TEXT = 128 * 1024
const text = z
  .string()
  .max(MAX_TEXT)
  .refine((value) => value.isWellFormed(), 'is not well-formed text')

export const DEFAULT_MAX_OUTPUT_TOKENS = 1_024

const parameters = z.strictObject({
  temperature: z.number().min(0).max(2).optional(),
  topP: z.number().min(0).max(1).optional(),
  maxOutputTokens: z.int().min(1).max(32_768).optional(),
})

const model = z.string().regex(MODEL_NAME, 'is not a model’s name').nullable()

export const Agent = z
  .object({
    id: agentId,
    projectId,
    name: nameSchema,
    model: model.meta({ description: 'Null: the first that the plan may use.' }),
    instructions: z.string(),
    parameters,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Agent' })
export type Agent = z.infer<typeof Agent>

export const CreateAgent = z
  .strictObject({
    name: nameSchema,
    model: model.default(null),
    instructions: text.default(''),
    parameters: parameters.default({}),
  })
  .meta({ id: 'CreateAgent' })

export const UpdateAgent = z
  .strictObject({
    name: nameSchema.optional(),
    model: model.optional(),
    instructions: text.optional(),
    parameters: parameters.optional(),
  })
  .refine(...changesSomething)
  .meta({ id: 'UpdateAgent' })

const message = z.strictObject({ role: z.enum(['user', 'assistant']), content: text })

export const CreateRun = z
  .strictObject({
    input: z
      .union([text.min(1), z.array(message).min(1).max(200)])
      .meta({ description: 'What the user says, or the conversation so far.', example: 'Hello' }),
  })
  .meta({ id: 'CreateRun' })

/** Why a run failed: what the upstream did, that it took too long, or that the region that ran it stopped. */
const RUN_FAILURES = [...CALL_FAILURES, 'time_limit_exceeded', 'interrupted'] as const
export type RunFailure = (typeof RUN_FAILURES)[number]

export const Run = z
  .object({
    id: runId,
    projectId,
    agentId,
    model: z.string(),
    status: z.enum(['running', 'succeeded', 'failed', 'cancelled']),
    error: z.object({ code: z.enum(RUN_FAILURES), detail: z.string() }).nullable(),
    input: z.array(message),
    output: z.string().meta({ description: 'As far as it came.' }),
    inputTokens: z.int(),
    outputTokens: z.int(),
    usageEstimated: z
      .boolean()
      .meta({ description: 'The model’s server did not count; these are estimates.' }),
    firstTextMs: z.int().nullable(),
    durationMs: z.int().nullable(),
    createdAt: timeSchema,
    endedAt: timeSchema.nullable(),
  })
  .meta({ id: 'Run' })
export type Run = z.infer<typeof Run>

/** As lists show it: without the texts. */
export const ListedRun = Run.omit({ input: true, output: true }).meta({ id: 'ListedRun' })
export type ListedRun = z.infer<typeof ListedRun>
