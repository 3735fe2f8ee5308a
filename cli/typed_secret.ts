// A secret that is typed on a terminal, which shows nothing of it.
import { UsageError } from './profile.ts'

/** What it takes of a terminal. */
export interface Terminal extends AsyncIterable<Buffer | string> {
  setRawMode(raw: boolean): unknown
}

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const ERASE = new Set(['\b', '\u007f'])
const ENDS = new Set(['\r', '\n', CTRL_D])

/**
 * One line, until Enter or Ctrl-D. The terminal is not read any further.
 * @throws {UsageError} after Ctrl-C
 */
export async function typedSecret(terminal: Terminal, say: (text: string) => void): Promise<string> {
  terminal.setRawMode(true)
  say('Token (it is not shown), then Enter: ')
  try {
    let typed = ''
    for await (const pressed of terminal) {
      for (const key of String(pressed)) {
        if (key === CTRL_C) throw new UsageError('stopped, and nothing was kept')
        if (ENDS.has(key)) return typed
        typed = ERASE.has(key) ? typed.slice(0, -1) : typed + key
      }
    }
    return typed
  } finally {
    terminal.setRawMode(false)
    say('\n')
  }
}
