// Generated from the OpenAPI document by `npm run client:types`: change the routes, not this file.

export type AcceptInvitation = { token: string }

export type AdminLink = { id: string; role: "owner" | "admin" | "member" | "viewer"; email: string | null; member: string | null; returnPath: string; issuer: { kind: "api_key" | "member" | "operator"; id: string }; createdAt: string; expiresAt: string; status: "open" | "used" | "revoked" | "expired" }

export type Agent = { id: string; projectId: string; name: string; model: string | null; instructions: string; parameters: { temperature?: number; topP?: number; maxOutputTokens?: number }; createdAt: string; updatedAt: string }

export type ApiKey = { id: string; name: string; scopes: Array<string>; createdAt: string; createdBy: { kind: "api_key" | "member" | "operator"; id: string } | null; expiresAt: string | null; lastUsedAt: string | null }

export type AuditEntry = { id: string; at: string; actor: { kind: "api_key" | "signed_url" | "member" | "invitee" | "session" | "admin_link" | "webhook_source" | "operator" | "system"; id: string; member?: string }; action: string; target: string | null; changed?: Array<string>; ip: string | null; requestId: string; outcome: "done" | "refused"; code?: string; count?: number }

export type Batch = { operations: Array<BatchOperation> }

export type BatchAnswer = { results: Array<{ op: "create" | "replace" | "update" | "delete"; record: { id: string; data: { [key: string]: unknown }; version: number; createdAt: string; updatedAt: string; expiresAt?: string } | null }> }

export type BatchOperation = { op?: "create"; data: { [key: string]: unknown }; expiresAt?: string | null } | { op: "replace"; id: string; data: { [key: string]: unknown }; expiresAt?: string | null; ifMatch?: string } | { op: "update"; id: string; data?: { [key: string]: unknown }; expiresAt?: string | null; ifMatch?: string } | { op: "delete"; id: string; ifMatch?: string }

export type Collection = { name: string; indexes: Array<Index>; schema: { [key: string]: unknown } | null; records: number; createdAt: string; updatedAt: string }

export type CollectionDeletion = { job: string }

export type CreateAdminLink = { role?: "owner" | "admin" | "member" | "viewer"; memberId?: string; expiresIn?: number; email?: string | null; returnPath?: string }

export type CreateAgent = { name: string; model?: string | null; instructions?: string; parameters?: { temperature?: number; topP?: number; maxOutputTokens?: number } }

export type CreateApiKey = { name: string; scopes: Array<"*" | "tenant:read" | "tenant:write" | "api-keys:read" | "api-keys:write" | "members:read" | "members:write" | "identity-providers:read" | "identity-providers:write" | "projects:read" | "projects:write" | "collections:read" | "collections:write" | "records:read" | "records:write" | "events:read" | "events:write" | "audit:read" | "audit:write" | "usage:read" | "usage:write" | "jobs:read" | "jobs:write" | "signed-urls:read" | "signed-urls:write" | "admin-links:read" | "admin-links:write" | "sessions:read" | "sessions:write" | "domains:read" | "domains:write" | "agents:read" | "agents:write" | "webhook-sources:read" | "webhook-sources:write" | "webhook-endpoints:read" | "webhook-endpoints:write">; expiresAt?: string | null }

export type CreateDomain = { domain: string }

export type CreateIdentityProvider = { name: string; issuer: string; audience?: string; roleClaim?: string | null; roleMapping?: { [key: string]: "owner" | "admin" | "member" | "viewer" }; defaultRole?: "viewer" | null; allowedEmailDomains?: Array<string> | null; createMembers?: boolean; clientId?: string | null; clientSecret?: string | null }

export type CreateInvitation = { email: string; role: "owner" | "admin" | "member" | "viewer"; expiresIn?: number }

export type CreateMember = { identity: Identity; role: "owner" | "admin" | "member" | "viewer"; email?: string | null }

export type CreateModel = { name: string; baseUrl: string; apiKey?: string | null; upstreamModel?: string; inputTokenPrice?: number; outputTokenPrice?: number; plans?: Array<"free" | "team" | "enterprise">; enabled?: boolean; maxConcurrent?: number }

export type CreateOwnerLink = { email?: string; expiresIn?: number }

export type CreateProject = { name: string; description?: string }

export type CreateRecord = { data: { [key: string]: unknown }; expiresAt?: string | null }

export type CreateRun = { input: string | Array<{ role: "user" | "assistant"; content: string }> }

export type CreateSignedUrl = { method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE"; path: string; expiresIn?: number }

export type CreateTenant = { slug: string; name: string; region: string; plan?: "free" | "team" | "enterprise"; owner: { email: string } }

export type CreateWebhookEndpoint = { url: string; description?: string | null; types?: Array<string>; enabled?: boolean; mode?: "parallel" | "fifo"; rate?: number | null; headers?: { [key: string]: string }; secret?: string }

export type CreateWebhookSource = { name: string; provider: "standard" | "stripe" | "github" | "slack" | "shopify" | "hmac"; secret: string; eventTypes?: { [key: string]: string }; agent?: { projectId: string; agentId: string } | null }

export type CreatedAdminLink = { id: string; role: "owner" | "admin" | "member" | "viewer"; email: string | null; member: string | null; returnPath: string; issuer: { kind: "api_key" | "member" | "operator"; id: string }; createdAt: string; expiresAt: string; status: "open" | "used" | "revoked" | "expired"; url: string }

export type CreatedApiKey = { id: string; name: string; scopes: Array<string>; createdAt: string; createdBy: { kind: "api_key" | "member" | "operator"; id: string } | null; expiresAt: string | null; lastUsedAt: string | null; key: string }

export type CreatedInvitation = { id: string; email: string; role: "owner" | "admin" | "member" | "viewer"; status: "open" | "accepted" | "revoked" | "expired"; invitedBy: { kind: string; id: string }; delivery: "link" | "sending" | "sent" | "refused" | "not_sent"; member: string | null; createdAt: string; expiresAt: string; url: string | null }

export type CreatedTenant = { tenant: Tenant; apiKey: { id: string; key: string }; adminLink: { url: string; expiresAt: string } }

export type CreatedWebhookSource = { id: string; name: string; provider: "standard" | "stripe" | "github" | "slack" | "shopify" | "hmac"; eventTypes: { [key: string]: string }; agent: { projectId: string; agentId: string } | null; formerSecretUntil: string | null; received: number; rejected: number; createdAt: string; updatedAt: string; url: string }

export type Customisation = { displayName: string | null; logoUrl: string | null; accentColor: string | null }

export type DeclareCollection = { indexes?: Array<IndexDeclaration>; schema?: { [key: string]: unknown } | null }

export type Domain = { id: string; domain: string; status: "pending" | "verified"; record: { type: "TXT"; name: string; value: string }; lastCheck: { at: string; outcome: "verified" | "not_found" | "wrong_value" | "lookup_failed" | "taken" } | null; createdAt: string; verifiedAt: string | null }

export type ErasureCertificate = { tenant: string; requestedBy: string; requestId: string; requestedAt: string; begunAt: string; endedAt: string; keys: number; bytes: number; cleared: { [key: string]: { keys: number; bytes: number } }; finalScan: { at: string; keysFound: number } } | null

export type Event = { id: string; type: string; at: string; resource: string; actor: { kind: "api_key" | "signed_url" | "member" | "invitee" | "session" | "admin_link" | "webhook_source" | "operator" | "system"; id: string; member?: string }; sequence: string; data?: { [key: string]: string | number | boolean | null } }

export type Identity = { issuer: string; subject: string }

export type IdentityProvider = { id: string; name: string; issuer: string; audience: string; roleClaim: string | null; roleMapping: { [key: string]: "owner" | "admin" | "member" | "viewer" }; defaultRole: "viewer" | null; allowedEmailDomains: Array<string> | null; createMembers: boolean; clientId: string | null; hasClientSecret: boolean; createdAt: string; updatedAt: string }

export type Index = { fields: Array<{ field: string; type: "string" | "number" | "boolean" | "time" }>; unique: boolean; state: "building" | "ready" | "failed"; job: string | null; error: { code: "unique_violation" | "value_too_long" | "quota_exceeded"; detail: string; records: Array<string> } | null }

export type IndexDeclaration = { field: string; type: "string" | "number" | "boolean" | "time"; unique?: boolean } | { fields: Array<{ field: string; type: "string" | "number" | "boolean" | "time" }>; unique?: boolean }

export type Invitation = { id: string; email: string; role: "owner" | "admin" | "member" | "viewer"; status: "open" | "accepted" | "revoked" | "expired"; invitedBy: { kind: string; id: string }; delivery: "link" | "sending" | "sent" | "refused" | "not_sent"; member: string | null; createdAt: string; expiresAt: string }

export type Job = { id: string; kind: string; state: "queued" | "running" | "done" | "failed" | "cancelled"; done: number; total: number | null; rate: number | null; secondsLeft: number | null; failures: number; error: string | null; createdAt: string; startedAt: string | null; finishedAt: string | null }

export type Limits = { requestsPerSecond: number; burst: number; streams: number; eventRetentionDays: number; auditRetentionDays: number; projects: number; apiKeys: number; members: number; identityProviders: number; domains: number; webhookSources: number; webhookEndpoints: number; storedBytes: number; tokens: number }

export type ListedRun = { id: string; projectId: string; agentId: string; model: string; status: "running" | "succeeded" | "failed" | "cancelled"; error: { code: "upstream_timeout" | "upstream_unavailable" | "upstream_rate_limited" | "upstream_misconfigured" | "upstream_refused" | "upstream_failed" | "upstream_broken_off" | "time_limit_exceeded" | "interrupted"; detail: string } | null; inputTokens: number; outputTokens: number; usageEstimated: boolean; firstTextMs: number | null; durationMs: number | null; createdAt: string; endedAt: string | null }

export type ListedTenant = { id: string; slug: string; name: string; region: string; plan: "free" | "team" | "enterprise"; status: "active" | "suspended" | "erasing"; limits: Limits; customisation: Customisation; corsOrigins: Array<string>; createdAt: string; updatedAt: string; cost?: number }

export type Member = { id: string; email: string | null; role: "owner" | "admin" | "member" | "viewer"; decidedBy: "provider" | "organisation"; identity: { issuer: string; subject: string } | null; createdAt: string; updatedAt: string }

export type MissedWebhook = { eventId: string; type: string; at: string; sequence: string; why: "failed" | "pending" | "held" | "not_sent"; deliveryId: string | null }

export type Model = { name: string; inputTokenPrice: number; outputTokenPrice: number; plans: Array<"free" | "team" | "enterprise">; available: boolean }

export type NoisyTenant = { tenant: string; slug: string; region: string; stage: "slowed" | "limited"; askedUnitsPerSecond: number; fairUnitsPerSecond: number; since: string; until: string }

export type OwnersLink = { id: string; url: string; expiresAt: string; email: string | null }

export type Plan = { name: "free" | "team" | "enterprise"; limits: Limits }

export type PlatformModel = { name: string; baseUrl: string; hasApiKey: boolean; upstreamModel: string; inputTokenPrice: number; outputTokenPrice: number; plans: Array<"free" | "team" | "enterprise">; enabled: boolean; maxConcurrent: number; createdAt: string; updatedAt: string }

export type Problem = { type: string; title: string; status: number; detail: string; code: "malformed_request" | "malformed_json" | "invalid_cursor" | "conflicting_credentials" | "credential_missing" | "credential_invalid" | "api_key_revoked" | "api_key_expired" | "signed_url_expired" | "session_ended" | "sign_in_failed" | "signature_invalid" | "assertion_invalid" | "not_a_member" | "insufficient_scope" | "tenant_suspended" | "admin_link_elsewhere" | "tenant_mismatch" | "quota_exceeded" | "not_found" | "method_not_allowed" | "not_acceptable" | "body_too_slow" | "slug_taken" | "project_archived" | "unique_violation" | "index_building" | "request_in_progress" | "conflict" | "events_expired" | "admin_link_expired" | "admin_link_used" | "admin_link_revoked" | "invitation_expired" | "invitation_used" | "invitation_revoked" | "sign_up_expired" | "tenant_erased" | "model_unavailable" | "precondition_failed" | "body_too_large" | "unsupported_media_type" | "tenant_moved" | "validation_failed" | "index_required" | "idempotency_key_reuse" | "request_head_too_large" | "too_many_failures" | "too_many_streams" | "rate_limited" | "internal" | "identity_provider_unavailable" | "mail_unavailable" | "region_unavailable" | "limiter_unavailable" | "no_model_configured" | "model_busy" | "deadline_exceeded" | "overloaded" | "contention"; requestId: string; errors?: Array<{ pointer: string; detail: string; code?: string }> }

export type Project = { id: string; name: string; description: string; archivedAt: string | null; createdAt: string; updatedAt: string }

export type ProjectDeletion = { job: string }

export type Quota = { used: number; limit: number }

export type ReceivedWebhook = { id: string; sourceId: string; type: string; providerType: string | null; providerEventId: string | null; bytes: number; receivedAt: string }

export type ReceivedWebhookWithBody = { id: string; sourceId: string; type: string; providerType: string | null; providerEventId: string | null; bytes: number; receivedAt: string; body: string; encoding: "utf-8" | "base64" }

export type Record = { id: string; data: { [key: string]: unknown }; version: number; createdAt: string; updatedAt: string; expiresAt?: string }

export type RecoverWebhooks = { since: string; until?: string }

export type Region = { name: string; status: "up" | "unreachable"; load: { startedAt: string; instances: number; readiness: "ready" | "draining" | "overloaded" | "no_database"; utilisation: number; memoryBytes: number } | null }

export type RotateApiKey = { overlapSeconds?: number }

export type RotateWebhookSecret = { secret?: string; overlapSeconds?: number }

export type Run = { id: string; projectId: string; agentId: string; model: string; status: "running" | "succeeded" | "failed" | "cancelled"; error: { code: "upstream_timeout" | "upstream_unavailable" | "upstream_rate_limited" | "upstream_misconfigured" | "upstream_refused" | "upstream_failed" | "upstream_broken_off" | "time_limit_exceeded" | "interrupted"; detail: string } | null; input: Array<{ role: "user" | "assistant"; content: string }>; output: string; inputTokens: number; outputTokens: number; usageEstimated: boolean; firstTextMs: number | null; durationMs: number | null; createdAt: string; endedAt: string | null }

export type Session = { id: string; role: "owner" | "admin" | "member" | "viewer"; email: string | null; member: string | null; issuer: { kind: "api_key" | "member" | "operator"; id: string }; link: string | null; userAgent: string | null; ip: string | null; createdAt: string; lastUsedAt: string; expiresAt: string }

export type Shut = { id: string; tenant: string }

export type SignedUrl = { url: string; expiresAt: string }

export type Tenant = { id: string; slug: string; name: string; region: string; plan: "free" | "team" | "enterprise"; status: "active" | "suspended" | "erasing"; limits: Limits; customisation: Customisation; corsOrigins: Array<string>; createdAt: string; updatedAt: string }

export type TenantErasure = { id: string; kind: string; state: "queued" | "running" | "done" | "failed" | "cancelled"; done: number; total: number | null; rate: number | null; secondsLeft: number | null; failures: number; error: string | null; createdAt: string; startedAt: string | null; finishedAt: string | null; certificate: ErasureCertificate }

export type UpdateAgent = { name?: string; model?: string | null; instructions?: string; parameters?: { temperature?: number; topP?: number; maxOutputTokens?: number } }

export type UpdateIdentityProvider = { name?: string; audience?: string; roleClaim?: string | null; roleMapping?: { [key: string]: "owner" | "admin" | "member" | "viewer" }; defaultRole?: "viewer" | null; allowedEmailDomains?: Array<string> | null; createMembers?: boolean; clientId?: string | null; clientSecret?: string | null }

export type UpdateLimits = { requestsPerSecond?: number | null; burst?: number | null; streams?: number | null; eventRetentionDays?: number | null; auditRetentionDays?: number | null; projects?: number | null; apiKeys?: number | null; members?: number | null; identityProviders?: number | null; domains?: number | null; webhookSources?: number | null; webhookEndpoints?: number | null; storedBytes?: number | null; tokens?: number | null }

export type UpdateMember = { role?: "owner" | "admin" | "member" | "viewer"; identity?: { issuer: string; subject: string } }

export type UpdateModel = { baseUrl?: string; apiKey?: string | null; upstreamModel?: string; inputTokenPrice?: number; outputTokenPrice?: number; plans?: Array<"free" | "team" | "enterprise">; enabled?: boolean; maxConcurrent?: number }

export type UpdateOrganisation = { name?: string; corsOrigins?: Array<string>; customisation?: { displayName?: string | null; logoUrl?: string | null; accentColor?: string | null } }

export type UpdateProject = { name?: string; description?: string }

export type UpdateRecord = { data?: { [key: string]: unknown }; expiresAt?: string | null }

export type UpdateTenant = { name?: string; plan?: "free" | "team" | "enterprise"; limits?: UpdateLimits; status?: "active" | "suspended" }

export type UpdateWebhookEndpoint = { url?: string; description?: string | null; types?: Array<string>; enabled?: boolean; mode?: "parallel" | "fifo"; rate?: number | null; headers?: { [key: string]: string } }

export type UpdateWebhookSource = { name?: string; secret?: string; overlapSeconds?: number; eventTypes?: { [key: string]: string }; agent?: { projectId: string; agentId: string } | null }

export type Usage = { quotas: { projects: Quota; apiKeys: Quota; members: Quota; identityProviders: Quota; domains: Quota; webhookSources: Quota; webhookEndpoints: Quota; storedBytes: Quota; tokens: Quota }; isolation: { stage: "slowed" | "limited"; since: string; until: string } | null; history: Array<UsagePeriod> }

export type UsagePeriod = { start: string; reads: number; writes: number; errors: number; milliseconds: number; units: number }

export type WebhookDelivery = { id: string; endpointId: string; eventId: string; type: string; sequence: string; status: "pending" | "delivered" | "failed"; test: boolean; attempts: number; createdAt: string; attemptedAt: string | null; nextAttemptAt: string | null }

export type WebhookDeliveryWithAttempts = { id: string; endpointId: string; eventId: string; type: string; sequence: string; status: "pending" | "delivered" | "failed"; test: boolean; createdAt: string; attemptedAt: string | null; nextAttemptAt: string | null; attempts: Array<{ number: number; at: string; durationMs: number | null; status: number | null; error: "unreachable" | "tls_failed" | "connection_lost" | "timed_out" | "not_http" | null; answer: string | null }> }

export type WebhookEndpoint = { id: string; url: string; description: string | null; types: Array<string>; enabled: boolean; disabled: { reason: "asked" | "failing" | "gone"; at: string } | null; mode: "parallel" | "fifo"; rate: number | null; headers: Array<string>; publicKey: string; failingSince: string | null; createdAt: string; updatedAt: string }

export type WebhookEndpointWithSecret = { id: string; url: string; description: string | null; types: Array<string>; enabled: boolean; disabled: { reason: "asked" | "failing" | "gone"; at: string } | null; mode: "parallel" | "fifo"; rate: number | null; headers: Array<string>; publicKey: string; failingSince: string | null; createdAt: string; updatedAt: string; secret: string }

export type WebhookPayload = { type: string; timestamp: string; id: string; sequence: string; data: { resource: string; actor: { kind: string; id: string; member?: string } } }

export type WebhookSource = { id: string; name: string; provider: "standard" | "stripe" | "github" | "slack" | "shopify" | "hmac"; eventTypes: { [key: string]: string }; agent: { projectId: string; agentId: string } | null; formerSecretUntil: string | null; received: number; rejected: number; createdAt: string; updatedAt: string }

export interface Operations {
  /** Take a model away; runs that go on end as they would. */
  'DELETE /platform/v1/models/{name}': { params: { name: string }; answer: undefined }
  /** Erase a tenant: shut at once, cleared by a job. */
  'DELETE /platform/v1/tenants/{id}': { params: { id: string }; answer: TenantErasure }
  /** Take an admin link back before it is used. */
  'DELETE /v1/admin-links/{id}': { params: { id: string }; answer: undefined }
  /** Revoke an API key: its next request is refused. */
  'DELETE /v1/api-keys/{id}': { params: { id: string }; answer: undefined }
  /** Take a domain away. */
  'DELETE /v1/domains/{id}': { params: { id: string }; answer: undefined }
  /** Take no more tokens of an issuer: the next one is refused. */
  'DELETE /v1/identity-providers/{id}': { params: { id: string }; answer: undefined }
  /** Take an invitation back before it is accepted. */
  'DELETE /v1/invitations/{id}': { params: { id: string }; answer: undefined }
  /** Cancel a job: no further step of it takes effect. */
  'DELETE /v1/jobs/{id}': { params: { id: string }; answer: Job }
  /** Remove a member: their next request is refused. */
  'DELETE /v1/members/{id}': { params: { id: string }; answer: undefined }
  /** Delete a project, and by a job everything below it. */
  'DELETE /v1/projects/{id}': { params: { id: string }; answer: ProjectDeletion }
  /** Delete a run that has ended; what it took of the month’s tokens stays taken. */
  'DELETE /v1/projects/{projectId}/agents/{agentId}/runs/{id}': { params: { projectId: string; agentId: string; id: string }; answer: undefined }
  /** Delete an agent; a job clears its runs. */
  'DELETE /v1/projects/{projectId}/agents/{id}': { params: { projectId: string; id: string }; answer: undefined }
  /** Delete a collection with all its records. */
  'DELETE /v1/projects/{projectId}/collections/{name}': { params: { projectId: string; name: string }; answer: CollectionDeletion }
  /** Delete a record. */
  'DELETE /v1/projects/{projectId}/collections/{name}/records/{id}': { params: { projectId: string; name: string; id: string }; answer: undefined }
  /** End every session of the console, and take back every unused admin link and invitation. */
  'DELETE /v1/sessions': { answer: undefined }
  /** End a session: its next request is refused. */
  'DELETE /v1/sessions/{id}': { params: { id: string }; answer: undefined }
  /** Erase the organisation: shut at once, cleared by a job, for good. */
  'DELETE /v1/tenant': { query: { confirm: string }; answer: Shut }
  /** Remove an endpoint; a job clears its deliveries. */
  'DELETE /v1/webhook-endpoints/{id}': { params: { id: string }; answer: undefined }
  /** Remove a source; a job clears what it has sent. */
  'DELETE /v1/webhook-sources/{id}': { params: { id: string }; answer: undefined }
  /** List the models, by name. */
  'GET /platform/v1/models': { query?: { limit?: number; cursor?: string }; answer: { data: Array<PlatformModel>; nextCursor: string | null } }
  /** Read a model. */
  'GET /platform/v1/models/{name}': { params: { name: string }; answer: PlatformModel }
  /** List the tenants that are isolated because they ask for far more than their share. */
  'GET /platform/v1/noisy': { query?: { limit?: number; cursor?: string }; answer: { data: Array<NoisyTenant>; nextCursor: string | null; more: boolean; unreachable: Array<string> } }
  /** List the plans and their limits. */
  'GET /platform/v1/plans': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Plan>; nextCursor: string | null } }
  /** List the regions and how loaded they are. */
  'GET /platform/v1/regions': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Region>; nextCursor: string | null } }
  /** List tenants: oldest first, by what they cost today and yesterday, or found by slug or number. */
  'GET /platform/v1/tenants': { query?: { limit?: number; cursor?: string; order?: "created" | "cost"; slug?: string; number?: string }; answer: { data: Array<ListedTenant>; nextCursor: string | null; unreachable: Array<string> } }
  /** Read a tenant. */
  'GET /platform/v1/tenants/{id}': { params: { id: string }; answer: Tenant }
  /** Read how far a tenant’s erasure is, and its certificate. */
  'GET /platform/v1/tenants/{id}/erasure': { params: { id: string }; answer: TenantErasure }
  /** Read a tenant’s quotas, and its requests by the hour or day. */
  'GET /platform/v1/tenants/{id}/usage': { params: { id: string }; query?: { by?: "hour" | "day"; from?: string; to?: string }; answer: Usage }
  /** List admin links that are open, or were so within a day, oldest first. */
  'GET /v1/admin-links': { query?: { limit?: number; cursor?: string }; answer: { data: Array<AdminLink>; nextCursor: string | null } }
  /** Read an admin link, without its URL. */
  'GET /v1/admin-links/{id}': { params: { id: string }; answer: AdminLink }
  /** List live API keys, oldest first. */
  'GET /v1/api-keys': { query?: { limit?: number; cursor?: string }; answer: { data: Array<ApiKey>; nextCursor: string | null } }
  /** Read a live API key, without its secret. */
  'GET /v1/api-keys/{id}': { params: { id: string }; answer: ApiKey }
  /** Read the audit trail, newest first. */
  'GET /v1/audit': { query?: { limit?: number; cursor?: string; actor?: string; action?: string; target?: string; outcome?: "done" | "refused"; since?: string; until?: string }; answer: { data: Array<AuditEntry>; nextCursor: string | null } }
  /** List deliveries, newest first. */
  'GET /v1/deliveries': { query?: { limit?: number; cursor?: string; endpoint?: string; type?: string; status?: "pending" | "delivered" | "failed"; since?: string; until?: string }; answer: { data: Array<WebhookDelivery>; nextCursor: string | null } }
  /** Read a delivery with its attempts and what they were answered. */
  'GET /v1/deliveries/{id}': { params: { id: string }; answer: WebhookDeliveryWithAttempts }
  /** List domains, oldest first. */
  'GET /v1/domains': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Domain>; nextCursor: string | null } }
  /** Read a domain. */
  'GET /v1/domains/{id}': { params: { id: string }; answer: Domain }
  /** Read what changed, oldest first. */
  'GET /v1/events': { query?: { after?: string; types?: string; limit?: number; cursor?: string }; answer: { data: Array<Event>; nextCursor: string | null; through: string }; streams: true }
  /** List identity providers, oldest first. */
  'GET /v1/identity-providers': { query?: { limit?: number; cursor?: string }; answer: { data: Array<IdentityProvider>; nextCursor: string | null } }
  /** Read an identity provider. */
  'GET /v1/identity-providers/{id}': { params: { id: string }; answer: IdentityProvider }
  /** List invitations, oldest first; those that have ended for a week. */
  'GET /v1/invitations': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Invitation>; nextCursor: string | null } }
  /** Read an invitation, without its token. */
  'GET /v1/invitations/{id}': { params: { id: string }; answer: Invitation }
  /** Read how far a job is. */
  'GET /v1/jobs/{id}': { params: { id: string }; answer: Job }
  /** List members, oldest first. */
  'GET /v1/members': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Member>; nextCursor: string | null } }
  /** Read a member. */
  'GET /v1/members/{id}': { params: { id: string }; answer: Member }
  /** List the models that agents may use, by name. */
  'GET /v1/models': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Model>; nextCursor: string | null } }
  /** List projects, oldest first. */
  'GET /v1/projects': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Project>; nextCursor: string | null } }
  /** Read a project. */
  'GET /v1/projects/{id}': { params: { id: string }; answer: Project }
  /** List agents, oldest first. */
  'GET /v1/projects/{projectId}/agents': { params: { projectId: string }; query?: { limit?: number; cursor?: string }; answer: { data: Array<Agent>; nextCursor: string | null } }
  /** List an agent’s runs, newest first. */
  'GET /v1/projects/{projectId}/agents/{agentId}/runs': { params: { projectId: string; agentId: string }; query?: { limit?: number; cursor?: string }; answer: { data: Array<ListedRun>; nextCursor: string | null } }
  /** Read a run. */
  'GET /v1/projects/{projectId}/agents/{agentId}/runs/{id}': { params: { projectId: string; agentId: string; id: string }; answer: Run }
  /** Read an agent. */
  'GET /v1/projects/{projectId}/agents/{id}': { params: { projectId: string; id: string }; answer: Agent }
  /** List collections, by name. */
  'GET /v1/projects/{projectId}/collections': { params: { projectId: string }; query?: { limit?: number; cursor?: string }; answer: { data: Array<Collection>; nextCursor: string | null } }
  /** Read a collection: its indexes and how far they are built. */
  'GET /v1/projects/{projectId}/collections/{name}': { params: { projectId: string; name: string }; answer: Collection }
  /** List or query records: where[field]=, [gt], [gte], [lt], [lte], [prefix], and order, by an index. */
  'GET /v1/projects/{projectId}/collections/{name}/records': { params: { projectId: string; name: string }; query?: { where?: { [key: string]: unknown }; limit?: number; cursor?: string; order?: string }; answer: { data: Array<Record>; nextCursor: string | null } }
  /** Read a record. */
  'GET /v1/projects/{projectId}/collections/{name}/records/{id}': { params: { projectId: string; name: string; id: string }; answer: Record }
  /** List the console’s sessions, oldest first. */
  'GET /v1/sessions': { query?: { limit?: number; cursor?: string }; answer: { data: Array<Session>; nextCursor: string | null } }
  /** Read a session. */
  'GET /v1/sessions/{id}': { params: { id: string }; answer: Session }
  /** Read the organisation that the credential belongs to. */
  'GET /v1/tenant': { answer: Tenant }
  /** Read quotas, and requests by the hour or day. */
  'GET /v1/usage': { query?: { by?: "hour" | "day"; from?: string; to?: string }; answer: Usage }
  /** List endpoints, oldest first. */
  'GET /v1/webhook-endpoints': { query?: { limit?: number; cursor?: string }; answer: { data: Array<WebhookEndpoint>; nextCursor: string | null } }
  /** Read an endpoint. */
  'GET /v1/webhook-endpoints/{id}': { params: { id: string }; answer: WebhookEndpoint }
  /** List events that the endpoint wants and has not got, oldest first. */
  'GET /v1/webhook-endpoints/{id}/missed': { params: { id: string }; query?: { limit?: number; cursor?: string; since?: string; until?: string }; answer: { data: Array<MissedWebhook>; nextCursor: string | null } }
  /** List sources, oldest first. */
  'GET /v1/webhook-sources': { query?: { limit?: number; cursor?: string }; answer: { data: Array<WebhookSource>; nextCursor: string | null } }
  /** Read a source. */
  'GET /v1/webhook-sources/{id}': { params: { id: string }; answer: WebhookSource }
  /** List what a source has sent, newest first. */
  'GET /v1/webhook-sources/{sourceId}/received': { params: { sourceId: string }; query?: { limit?: number; cursor?: string }; answer: { data: Array<ReceivedWebhook>; nextCursor: string | null } }
  /** Read one webhook, as it was sent. */
  'GET /v1/webhook-sources/{sourceId}/received/{id}': { params: { sourceId: string; id: string }; answer: ReceivedWebhookWithBody }
  /** Change a model; all regions know within seconds. */
  'PATCH /platform/v1/models/{name}': { params: { name: string }; body: UpdateModel; answer: PlatformModel }
  /** Change a tenant’s name, plan, limits or status. */
  'PATCH /platform/v1/tenants/{id}': { params: { id: string }; body: UpdateTenant; answer: Tenant }
  /** Change an identity provider. */
  'PATCH /v1/identity-providers/{id}': { params: { id: string }; body: UpdateIdentityProvider; answer: IdentityProvider }
  /** Give a member another role, or say who they are. */
  'PATCH /v1/members/{id}': { params: { id: string }; body: UpdateMember; answer: Member }
  /** Change a project. */
  'PATCH /v1/projects/{id}': { params: { id: string }; body: UpdateProject; answer: Project }
  /** Change an agent. */
  'PATCH /v1/projects/{projectId}/agents/{id}': { params: { projectId: string; id: string }; body: UpdateAgent; answer: Agent }
  /** Merge changes into a record (RFC 7396). */
  'PATCH /v1/projects/{projectId}/collections/{name}/records/{id}': { params: { projectId: string; name: string; id: string }; body: UpdateRecord; answer: Record }
  /** Change the organisation’s name, or how its people see it. */
  'PATCH /v1/tenant': { body: UpdateOrganisation; answer: Tenant }
  /** Change an endpoint; disabled, its events are held. */
  'PATCH /v1/webhook-endpoints/{id}': { params: { id: string }; body: UpdateWebhookEndpoint; answer: WebhookEndpoint }
  /** Change a source, its secret too. */
  'PATCH /v1/webhook-sources/{id}': { params: { id: string }; body: UpdateWebhookSource; answer: WebhookSource }
  /** Add a model that tenants share. */
  'POST /platform/v1/models': { body: CreateModel; answer: PlatformModel }
  /** Make a tenant: live at once. */
  'POST /platform/v1/tenants': { body: CreateTenant; answer: CreatedTenant }
  /** Make a link into the console for an owner who has no other way in. */
  'POST /platform/v1/tenants/{id}/admin-links': { params: { id: string }; body?: CreateOwnerLink; answer: OwnersLink }
  /** Make a link into the console, for one person and one use. */
  'POST /v1/admin-links': { body?: CreateAdminLink; answer: CreatedAdminLink }
  /** Create an API key. */
  'POST /v1/api-keys': { body: CreateApiKey; answer: CreatedApiKey }
  /** Put a new key in the place of one, which holds for a while yet. */
  'POST /v1/api-keys/{id}/rotate': { params: { id: string }; body?: RotateApiKey; answer: CreatedApiKey }
  /** Send an event again, at once. */
  'POST /v1/deliveries/{id}/retry': { params: { id: string }; answer: WebhookDelivery }
  /** Add a domain; it is yours once its DNS says so. */
  'POST /v1/domains': { body: CreateDomain; answer: Domain }
  /** Look at the domain’s TXT records now; `lastCheck` says what was found. */
  'POST /v1/domains/{id}/verify': { params: { id: string }; answer: Domain }
  /** Take the tokens of an OpenID issuer. */
  'POST /v1/identity-providers': { body: CreateIdentityProvider; answer: IdentityProvider }
  /** Invite somebody to become a member. */
  'POST /v1/invitations': { body: CreateInvitation; answer: CreatedInvitation }
  /** Accept an invitation, signed in as who is to be the member. */
  'POST /v1/invitations/accept': { body: AcceptInvitation; answer: Member }
  /** Add a member whose identity at an issuer is known. */
  'POST /v1/members': { body: CreateMember; answer: Member }
  /** Create a project. */
  'POST /v1/projects': { body: CreateProject; answer: Project }
  /** Archive a project: it and all below it can be read, and not changed. */
  'POST /v1/projects/{id}/archive': { params: { id: string }; answer: Project }
  /** Restore an archived project. */
  'POST /v1/projects/{id}/restore': { params: { id: string }; answer: Project }
  /** Create an agent. */
  'POST /v1/projects/{projectId}/agents': { params: { projectId: string }; body: CreateAgent; answer: Agent }
  /** Run an agent: as a stream with `Accept: text/event-stream`, or answered when it is over. */
  'POST /v1/projects/{projectId}/agents/{agentId}/runs': { params: { projectId: string; agentId: string }; body: CreateRun; answer: Run; streams: true }
  /** Cancel a run; what it has taken so far is charged. */
  'POST /v1/projects/{projectId}/agents/{agentId}/runs/{id}/cancel': { params: { projectId: string; agentId: string; id: string }; answer: Run }
  /** Create a record; the first one makes its collection. */
  'POST /v1/projects/{projectId}/collections/{name}/records': { params: { projectId: string; name: string }; body: CreateRecord; answer: Record }
  /** Change up to 100 records, all or none. */
  'POST /v1/projects/{projectId}/collections/{name}/records:batch': { params: { projectId: string; name: string }; body: Batch; answer: BatchAnswer }
  /** Sign a URL for one method and path. */
  'POST /v1/signed-urls': { body: CreateSignedUrl; answer: SignedUrl }
  /** Add an endpoint: its secret is shown this once. */
  'POST /v1/webhook-endpoints': { body: CreateWebhookEndpoint; answer: WebhookEndpointWithSecret }
  /** Send again what the endpoint has missed. */
  'POST /v1/webhook-endpoints/{id}/recover': { params: { id: string }; body: RecoverWebhooks; answer: { job: string } }
  /** Give an endpoint new secrets; the old ones sign as well for a while. */
  'POST /v1/webhook-endpoints/{id}/rotate': { params: { id: string }; body?: RotateWebhookSecret; answer: WebhookEndpointWithSecret }
  /** Send an event to try the endpoint out; its delivery tells how it went. */
  'POST /v1/webhook-endpoints/{id}/test': { params: { id: string }; answer: WebhookDelivery }
  /** Add a source of webhooks: its URL is shown this once. */
  'POST /v1/webhook-sources': { body: CreateWebhookSource; answer: CreatedWebhookSource }
  /** Declare a collection: its indexes and its schema. */
  'PUT /v1/projects/{projectId}/collections/{name}': { params: { projectId: string; name: string }; body: DeclareCollection; answer: Collection }
  /** Replace a record’s document and expiry. */
  'PUT /v1/projects/{projectId}/collections/{name}/records/{id}': { params: { projectId: string; name: string; id: string }; body: CreateRecord; answer: Record }
}
