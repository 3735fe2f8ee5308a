// An operator's session: who it is and until when, under a key that only the edge has. Nothing is stored: it is held
// against the operators of this deployment with each request, so it ends with the token that it was begun with.
import { concat, equalInConstantTime, fromBase64url, toBase64url, utf8 } from '../../../shared/bytes.ts'
import type { OperatorConfig } from '../../../shared/credentials/operator_token.ts'
import type { Roots } from '../../../shared/credentials/roots.ts'
import type { OperatorIdentity } from '../../identify/operator_token.ts'

/** Short, since it can't be ended alone. */
export const OPERATOR_SESSION_MS = 60 * 60 * 1000
/** root · expiry in seconds · random */
const HEAD_BYTES = 1 + 4 + 16
const TAG_BYTES = 32

export async function mintOperatorSession(
  { principal }: OperatorIdentity,
  roots: Roots,
  nowMs: number,
): Promise<string> {
  const root = roots.signing()
  const head = crypto.getRandomValues(new Uint8Array(HEAD_BYTES))
  const view = new DataView(head.buffer)
  view.setUint8(0, root.id)
  view.setUint32(1, Math.floor((nowMs + OPERATOR_SESSION_MS) / 1000))
  const tag = await tagOf(head, principal.operatorId, principal.secretHash, roots)
  return `${principal.operatorId}.${toBase64url(concat(head, tag ?? new Uint8Array()))}`
}

/** @returns undefined for one that is over, of an operator who is none any more, or none of ours. */
export async function identifyOperatorSession(
  text: string,
  operators: ReadonlyArray<OperatorConfig>,
  roots: Roots,
  nowMs: number,
): Promise<OperatorIdentity | undefined> {
  const at = text.lastIndexOf('.')
  const operatorId = text.slice(0, Math.max(0, at))
  const bytes = fromBase64url(text.slice(at + 1))
  if (bytes?.length !== HEAD_BYTES + TAG_BYTES) return undefined
  const head = bytes.subarray(0, HEAD_BYTES)
  const expiresAtMs = new DataView(head.buffer, head.byteOffset).getUint32(1) * 1000
  if (expiresAtMs <= nowMs) return undefined
  // While a token is rotated, its operator has two.
  for (const { id, role, secretHash } of operators) {
    if (id !== operatorId) continue
    const tag = await tagOf(head, id, secretHash, roots)
    if (tag !== undefined && equalInConstantTime(tag, bytes.subarray(HEAD_BYTES))) {
      return { kind: 'operator', principal: { kind: 'operator', operatorId, role, secretHash } }
    }
  }
  return undefined
}

/** Of a compromised root nothing is believed. */
async function tagOf(
  head: Uint8Array,
  operatorId: string,
  secretHash: string,
  roots: Roots,
): Promise<Uint8Array | undefined> {
  const root = roots.get(head[0] ?? 0)
  if (root === undefined || root.state === 'compromised') return undefined
  const signed = concat(head, utf8(`${secretHash}\n${operatorId}`))
  return new Uint8Array(await crypto.subtle.sign('HMAC', root.keys['operator-session v1'], signed))
}
