// Engines in temporary folders that go away with the test.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  type EmbeddedEngine,
  type EmbeddedOptions,
  openEmbedded,
} from '../../regional/storage/embedded/engine.ts'

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'coditect-engine-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export async function temporaryEngine(
  options: Omit<EmbeddedOptions, 'dataDir'> = {},
): Promise<EmbeddedEngine> {
  const engine = await openEmbedded({ dataDir: await temporaryDirectory(), ...options })
  onTestFinished(() => engine.close())
  return engine
}
