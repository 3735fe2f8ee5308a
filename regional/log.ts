// The region's log: one JSON object a line, to standard output. Never a secret, never a body.
import { type DestinationStream, destination, pino, stdTimeFunctions } from 'pino'

export const LOG_LEVELS = ['info', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

type Fields = Readonly<Record<string, unknown>>

export interface Log {
  info(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

/** Where lines go. */
export type WriteLog = (line: string) => void

/** Lines wait for each other: a write for each took a twentieth of a region's time. */
const TOGETHER_BYTES = 8 * 1024
const LONGEST_WAIT_MS = 250

/** Standard output, written behind the requests' backs; what is left is written when the process ends. */
export function standardOutput(): DestinationStream {
  const output = destination({ dest: 1, sync: false, minLength: TOGETHER_BYTES })
  setInterval(() => output.flush(), LONGEST_WAIT_MS).unref()
  return output
}

export function jsonLog(region: string, to: WriteLog | DestinationStream, level: LogLevel = 'info'): Log {
  const logger = pino(
    {
      level,
      base: { region },
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: shownError },
    },
    typeof to === 'function' ? { write: to } : to,
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
