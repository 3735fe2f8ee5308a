// What an operator may ask: declared as a tenant's operations are, but without a tenant.
import type { OperatorRole } from '../../shared/credentials/operator_token.ts'
import type { OperatorPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { checkInput, type Declaration, type Input, type RawInput, type Reply, tagged } from '../operation.ts'
import type { Verified } from '../tenancy/verify.ts'

export interface OperatorOperation {
  declaration: Declaration
  role: OperatorRole
  prepare(raw: RawInput): (operator: Verified<OperatorPrincipal>) => Promise<Reply>
}

export function operatorOperation<
  P extends Declaration['params'] = undefined,
  Q extends Declaration['query'] = undefined,
  B extends Declaration['body'] = undefined,
>(
  operation: Declaration<P, Q, B> & {
    /** The least that the operator has to be. */
    role: OperatorRole
    handle(input: Input<P, Q, B>, operator: Verified<OperatorPrincipal>): Promise<Reply>
  },
): OperatorOperation {
  return {
    declaration: operation as Declaration,
    role: operation.role,
    prepare(raw) {
      const input = checkInput(operation, raw)
      return async (operator) => {
        if (operation.role === 'admin' && operator.principal.role !== 'admin') {
          throw new Problem('insufficient_scope', 'This needs an operator with the role admin.')
        }
        if (input instanceof Problem) throw input
        return tagged(operation, await operation.handle(input, operator))
      }
    },
  }
}
