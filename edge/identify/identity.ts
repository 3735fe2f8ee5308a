// Who asks, by whatever credential: what stage one finds out, and what the stages after it go by.
import type { ConsoleIdentity, VisitorIdentity } from '../console/identity.ts'
import type { ApiKeyIdentity } from './api_key.ts'
import type { JwtIdentity } from './jwt.ts'
import type { OperatorIdentity } from './operator_token.ts'
import type { SignedUrlIdentity } from './signed_url.ts'
import type { SourceIdentity } from './source_token.ts'

export type Identity =
  | SourceIdentity
  | ApiKeyIdentity
  | SignedUrlIdentity
  | JwtIdentity
  | OperatorIdentity
  | ConsoleIdentity
  | VisitorIdentity
