// This machine's secrets: made on the first start, kept in the data directory with mode 0600, printed never.
// They outlive every start: without the signing root, no API key made before would be one.
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { randomBytes, toBase64url } from '../shared/bytes.ts'
import { newOperatorToken } from '../shared/credentials/operator_token.ts'
import type { DataDir } from './data_dir.ts'
import { REGIONS } from './settings.ts'
import { messageOf, StartError } from './start_error.ts'

const FILE = 'secrets.json'

const secret = z.string().regex(/^[\w-]{43}$/, 'is not 32 bytes in base64url')
const ofEachRegion = <T extends z.ZodType>(schema: T) => z.object({ us: schema, eu: schema })
const schema = z.object({
  assertionKeys: ofEachRegion(z.array(z.object({ kid: z.string().min(1), secret })).min(1)),
  signingRoots: z
    .array(
      z.object({
        id: z.number().int().min(0).max(255),
        secret,
        state: z.enum(['active', 'retired', 'compromised']),
      }),
    )
    .min(1),
  /** Each region's own, for the answers that it keeps sealed. */
  sealingKeys: ofEachRegion(secret),
  operatorToken: z.string().regex(/^co_[0-9A-Za-z]{43}$/, 'is not an operator token'),
  demo: z.object({ tenantId: z.string(), apiKey: z.string() }).optional(),
})

export type Secrets = z.infer<typeof schema>
/** The tenant to try things with. */
export type Demo = NonNullable<Secrets['demo']>

/** @throws {StartError} when the file is not what {@link saveSecrets} writes, or is not there and what it was made for is. */
export function loadSecrets(dir: DataDir): Secrets {
  const path = dir.file(FILE)
  if (!existsSync(path)) {
    if (REGIONS.some((name) => existsSync(dir.file(name))))
      throw new StartError(
        `${path} is not there, and databases are: put the secrets.json that they were made with back, or start with an empty DATA_DIR`,
      )
    const made = newSecrets()
    saveSecrets(dir, made)
    return made
  }
  const parsed = schema.safeParse(parseJson(readOwn(path)))
  if (parsed.success) return parsed.data
  const { path: where, message } = parsed.error.issues[0] ?? { path: [], message: 'is damaged' }
  throw new StartError(
    `${path} is damaged (${where.join('.') || 'the whole'}: ${message}); put it back from a copy, or start with an empty DATA_DIR`,
  )
}

/** A file that can be read, and from then on by its owner alone. @throws {StartError} */
function readOwn(path: string): string {
  try {
    const text = readFileSync(path, 'utf8')
    chmodSync(path, 0o600)
    return text
  } catch (error) {
    throw new StartError(
      `${path} can't be read (${messageOf(error)}); put it back from a copy, or start with an empty DATA_DIR`,
    )
  }
}

export const saveSecrets = (dir: DataDir, secrets: Secrets): void =>
  dir.write(FILE, `${JSON.stringify(secrets, null, 2)}\n`)

function newSecrets(): Secrets {
  const newSecret = () => toBase64url(randomBytes(32))
  return {
    assertionKeys: {
      us: [{ kid: 'us-1', secret: newSecret() }],
      eu: [{ kid: 'eu-1', secret: newSecret() }],
    },
    signingRoots: [{ id: 1, secret: newSecret(), state: 'active' }],
    sealingKeys: { us: newSecret(), eu: newSecret() },
    operatorToken: newOperatorToken(),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
