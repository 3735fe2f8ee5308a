// The region's log: one JSON object a line, to standard output. Never a secret, never a body.

export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export function jsonLog(region: string, write: (line: string) => void): Log {
  const line = (level: string, message: string, fields: Readonly<Record<string, unknown>> = {}) => {
    const { error, ...rest } = fields
    const shown = error instanceof Error ? { error: error.stack ?? error.message } : {}
    write(
      `${JSON.stringify({ time: new Date().toISOString(), level, region, message, ...rest, ...shown })}\n`,
    )
  }
  return {
    info: (message, fields) => line('info', message, fields),
    error: (message, fields) => line('error', message, fields),
  }
}
