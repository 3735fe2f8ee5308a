// Operator tokens: `co_<43 characters>`, 256 random bits. Nobody keeps them: edge and region hold SHA-256 hashes.
import { toBase62 } from '../base62.ts'
import { equalInConstantTime, randomBytes, sha256, toBase64url, utf8 } from '../bytes.ts'

const SHAPE = /^co_[0-9A-Za-z]{43}$/

/** `admin` may change things, `read` may look. */
export type OperatorRole = 'admin' | 'read'

export interface OperatorConfig {
  /** A short name for logs and audit trails, such as `ops-anna`. */
  id: string
  role: OperatorRole
  /** SHA-256 of the token in base64url. */
  secretHash: string
}

export const newOperatorToken = (): string => `co_${toBase62(randomBytes(32))}`

export const hashOperatorToken = async (token: string): Promise<string> => toBase64url(await sha256(token))

/** Looks at every operator, so that the time it takes does not tell which one came close. */
export function findOperator(
  secretHash: string,
  operators: ReadonlyArray<OperatorConfig>,
): OperatorConfig | undefined {
  let found: OperatorConfig | undefined
  for (const operator of operators) {
    if (equalInConstantTime(utf8(operator.secretHash), utf8(secretHash))) found = operator
  }
  return found
}

export const looksLikeOperatorToken = (text: string): boolean => SHAPE.test(text)
