// Operator tokens: held against the hashes that this deployment was given.
import {
  findOperator,
  hashOperatorToken,
  looksLikeOperatorToken,
  type OperatorConfig,
} from '../../shared/credentials/operator_token.ts'
import type { OperatorPrincipal } from '../../shared/principal.ts'

export type OperatorIdentity = { kind: 'operator'; principal: OperatorPrincipal }

export async function identifyOperator(
  text: string,
  operators: ReadonlyArray<OperatorConfig>,
): Promise<OperatorIdentity | undefined> {
  if (!looksLikeOperatorToken(text)) return undefined
  const secretHash = await hashOperatorToken(text)
  const operator = findOperator(secretHash, operators)
  return (
    operator && {
      kind: 'operator',
      principal: { kind: 'operator', operatorId: operator.id, role: operator.role, secretHash },
    }
  )
}
