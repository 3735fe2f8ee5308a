// Where the command line's secrets show: nowhere.
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, expect, test, vi } from 'vitest'
import { UsageError, writeProfile } from '../../cli/profile.ts'
import { typedSecret } from '../../cli/typed_secret.ts'

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  return { ...real, renameSync: vi.fn(real.renameSync) }
})

const folder = mkdtempSync(join(tmpdir(), 'coditect-secrets-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('profiles that cannot be kept leave no token beside their file', () => {
  vi.mocked(renameSync).mockImplementationOnce(() => {
    throw new Error('no room')
  })
  const keep = () =>
    writeProfile({ CODITECT_CONFIG: join(folder, 'profiles.json') }, 'a', {
      url: 'http://127.0.0.1',
      token: 'x',
    })
  expect(keep).toThrow('no room')
  expect(readdirSync(folder)).toEqual([])
})

test('a token that is typed is not shown, and ends with Enter or Ctrl-D', async () => {
  const typing = async (...pressed: string[]) => {
    const raw: boolean[] = []
    let shown = ''
    const terminal = Object.assign(Readable.from(pressed), { setRawMode: (on: boolean) => raw.push(on) })
    const typed = await typedSecret(terminal, (text) => {
      shown += text
    }).catch((error: unknown) => error)
    expect(raw).toEqual([true, false])
    expect(shown).toMatch(/^Token [^\n]+\n$/)
    expect(shown).not.toContain('ck_')
    return typed
  }
  expect(await typing('ck_', 'a', 'x', '\u007f', 'b\r', 'more')).toBe('ck_ab')
  expect(await typing('ck_ab\u0004')).toBe('ck_ab')
  expect(await typing('ck_ab')).toBe('ck_ab')
  expect(await typing('ck_ab\u0003')).toBeInstanceOf(UsageError)
})
