// The region's log: one JSON object a line. Never a secret, never a body.
import { pino, stdTimeFunctions } from 'pino'

export const LOG_LEVELS = ['info', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

type Fields = Readonly<Record<string, unknown>>

export interface Log {
  info(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

/** Where lines go. */
export type WriteLog = (line: string) => void

export function jsonLog(region: string, to: WriteLog, level: LogLevel = 'info'): Log {
  const logger = pino(
    {
      level,
      base: { region },
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: shownError },
    },
    { write: to },
  )
  return {
    info: (message, fields = {}) => logger.info(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
  }
}

/** The stack, since that says where. */
function shownError(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const stack = error.stack ?? `${error.name}: ${error.message}`
  // V8 quotes the text that is not JSON: a body, perhaps.
  return error instanceof SyntaxError ? stack.replace(error.message, 'not as it should be') : stack
}
