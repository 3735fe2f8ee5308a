// What an edge has asserted, read by a library that knows nothing of ours (jose).
import { jwtVerify } from 'jose'
import type { AssertedRequest, AssertionClaims, AssertionKeyConfig } from '../../shared/assertion.ts'
import { fromBase64url } from '../../shared/bytes.ts'
import { EU_KEYS, US_KEYS } from './support.ts'

const KEYS = { us: US_KEYS, eu: EU_KEYS }

type Asserted = Omit<AssertionClaims['p'], 'tenant'> & { tenant?: bigint }

/** @throws {Error} unless it holds for this request to this region */
export async function asserted(
  token: string | undefined,
  { region, method, target }: { region: 'us' | 'eu'; method: string; target: string },
): Promise<Pick<AssertedRequest, 'requestId' | 'idempotencyKey' | 'publicOrigin'> & { principal: Asserted }> {
  const [{ kid, secret }] = KEYS[region] as [AssertionKeyConfig]
  const { payload, protectedHeader } = await jwtVerify<AssertionClaims>(
    token ?? '',
    fromBase64url(secret) ?? new Uint8Array(),
    { algorithms: ['HS256'], audience: region, maxTokenAge: 30, requiredClaims: ['exp', 'jti'] },
  )
  const { m, t, p, k, jti, iss } = payload
  if (protectedHeader.kid !== kid || m !== method || t !== target) throw new Error('made for another request')
  const { tenant, ...rest } = p
  const principal = { ...rest, ...(tenant !== undefined && { tenant: BigInt(tenant) }) }
  return {
    principal,
    requestId: jti,
    ...(k !== undefined && { idempotencyKey: k }),
    ...(iss !== undefined && { publicOrigin: iss }),
  }
}
