// What must be true of one tenant after a run, whatever went wrong in it: every sentence that is returned is an
// anomaly. The outbox is in the order of the commits, so it is replayed to say what there must be in the end.
import { isDeepStrictEqual } from 'node:util'
import type { Intent, Sending, TenantLog } from './region_clients.ts'
import type { Ledger } from './region_ledger.ts'

const eventOf: Record<Intent['action'], string> = {
  'projects.create': 'project.created',
  'projects.update': 'project.updated',
  'projects.delete': 'project.deleted',
  'api-keys.create': 'api_key.created',
  'api-keys.revoke': 'api_key.revoked',
}
/** What a client may be answered here; anything else is a bug. */
const EXPECTED = new Set([200, 201, 202, 204, 401, 403, 404, 412, 503])

const succeeded = ({ answer }: Sending): boolean => answer.status < 300
const shownOf = ({ answer }: Sending) => [answer.status, answer.body]

export function tenantAnomalies(log: TenantLog, ledger: Ledger): string[] {
  return [
    ...log.intents.flatMap((intent) => intentAnomalies(intent, ledger)),
    ...traceAnomalies(log, ledger),
    ...stateAnomalies(log, ledger),
    ...lostUpdates(log),
    ...servedAfterEnd(log),
    ...operatorAnomalies(log, ledger),
  ].map((anomaly) => `${log.id}: ${anomaly}`)
}

/** Applied exactly once when it was answered so, at most once otherwise; and one answer for one request. */
function intentAnomalies(intent: Intent, { audit, outbox }: Ledger): string[] {
  const found: string[] = []
  const name = `${intent.method} ${intent.path} (${intent.idempotencyKey ?? 'no key'}, ${intent.body?.name})`
  const ids = new Set(intent.sendings.map(({ requestId }) => requestId))
  const entries = audit.filter(({ requestId, outcome }) => outcome === 'done' && ids.has(requestId))
  const events = outbox.filter(({ requestId }) => ids.has(requestId))
  const successes = intent.sendings.filter(succeeded)
  const [first] = successes
  if (entries.length > 1) found.push(`applied ${entries.length} times: ${name}`)
  if (first !== undefined && entries.length === 0) found.push(`acknowledged and not applied: ${name}`)
  if (entries.some(({ action }) => action !== intent.action)) found.push(`audited as another action: ${name}`)
  if (
    !isDeepStrictEqual(
      events.map(({ type }) => type),
      entries.map(() => eventOf[intent.action]),
    )
  )
    found.push(`${entries.length} audit entries and ${events.length} events: ${name}`)
  for (const { answer } of successes) {
    const shown = answer.body?.id
    if (shown !== undefined && events.some(({ resource }) => resource !== shown))
      found.push(`answered with ${shown}, which is not what was done: ${name}`)
  }
  for (const each of successes) {
    if (first !== undefined && !isDeepStrictEqual(shownOf(each), shownOf(first)))
      found.push(`two answers to one request: ${name}`)
  }
  for (const { answer } of intent.sendings) {
    if (!EXPECTED.has(answer.status)) found.push(`answered ${answer.status} ${answer.body?.code}: ${name}`)
  }
  return found
}

/** Without what an operator did. */
const byClients = (outbox: Ledger['outbox']) => outbox.filter(({ actor }) => actor.kind === 'api_key')

/** Nothing in the trail or the feed that nobody asked for. */
function traceAnomalies({ intents, reads }: TenantLog, { audit, outbox, usage }: Ledger): string[] {
  const sendings = [...intents.flatMap((intent) => intent.sendings), ...reads.map(({ sending }) => sending)]
  const asked = new Set(sendings.map(({ requestId }) => requestId))
  const isRefusal = ({ answer: { status } }: Sending) => status === 401 || status === 403
  const refused = sendings.filter(isRefusal).length
  const told = audit
    .filter(({ outcome }) => outcome === 'refused')
    .reduce((sum, { count = 1 }) => sum + count, 0)
  const readsServed = reads.filter(({ sending }) => succeeded(sending)).length
  const done = audit.filter(({ outcome, actor }) => outcome === 'done' && actor.kind === 'api_key')
  const strange = [...done, ...byClients(outbox)].filter(({ requestId }) => !asked.has(requestId))
  return [
    ...strange.map(({ requestId }) => `a trace of ${requestId}, which nobody sent`),
    ...(usage.writes === done.length ? [] : [`usage counts ${usage.writes} changes of ${done.length}`]),
    ...(usage.reads === readsServed ? [] : [`usage counts ${usage.reads} reads of ${readsServed}`]),
    // Fewer may be told: the trail takes only so many different ones.
    ...(told <= refused ? [] : [`${refused} refusals, told as ${told}`]),
  ]
}

/** Replays the feed: what there is, how often it was changed and what it is called follow from it. */
function stateAnomalies({ intents, keys: [first] }: TenantLog, ledger: Ledger): string[] {
  const found: string[] = []
  const names = new Map(
    intents.flatMap(({ sendings, body }) => sendings.map(({ requestId }) => [requestId, body?.name])),
  )
  const projects = new Map<string, { id: string; name: string | undefined; version: number }>()
  const keys = new Set([first?.id])
  const revoked = new Set<string>()
  for (const { type, resource, requestId, actor } of byClients(ledger.outbox)) {
    if (revoked.has(actor.id)) found.push(`${type} of ${resource} by ${actor.id}, after its revocation`)
    if (type === 'api_key.revoked') revoked.add(resource)
    const project = projects.get(resource)
    const name = names.get(requestId)
    const isNew = type.endsWith('.created')
    const exists = project !== undefined || keys.has(resource)
    if (isNew === exists) found.push(`${type} of ${resource}, which ${exists ? 'is there' : 'is not there'}`)
    if (type === 'project.created') projects.set(resource, { id: resource, name, version: 1 })
    if (type === 'project.deleted') projects.delete(resource)
    if (type === 'api_key.created') keys.add(resource)
    if (type === 'api_key.revoked') keys.delete(resource)
    if (type === 'project.updated' && project !== undefined) {
      project.version++
      project.name = name
    }
  }
  const kept = ledger.projects.map(({ id, name, version }) => ({ id, name, version }))
  const expected = [...projects.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  if (!isDeepStrictEqual(kept, expected)) found.push('the projects are not what the feed tells')
  if (!isDeepStrictEqual([...ledger.keys], [...keys].toSorted()))
    found.push('the keys are not what the feed tells')
  return [...found, ...quotaAnomalies(ledger)]
}

export function quotaAnomalies({ quotas, projects, keys }: Ledger): string[] {
  const found: string[] = []
  if (quotas.projects.used !== projects.length)
    found.push(`${projects.length} projects, counted as ${quotas.projects.used}`)
  if (quotas.apiKeys.used !== keys.length)
    found.push(`${keys.length} keys, counted as ${quotas.apiKeys.used}`)
  return found
}

/** Of several changes to one version of a project only one may succeed. */
function lostUpdates({ intents }: TenantLog): string[] {
  const seen = new Set<string>()
  const found: string[] = []
  for (const { ifMatch, path, sendings } of intents) {
    if (ifMatch === undefined || !sendings.some(succeeded)) continue
    const version = `${path} ${ifMatch}`
    if (seen.has(version)) found.push(`two changes of one version: ${version}`)
    seen.add(version)
  }
  return found
}

/** A key after its revocation, and a tenant while it is suspended, are not served. */
function servedAfterEnd({ keys, intents, reads, changes }: TenantLog): string[] {
  const sendings = [
    ...intents.flatMap(({ keyId, sendings }) => sendings.map((sending) => ({ keyId, sending }))),
    ...reads,
  ]
  const revokedAt = new Map(keys.map((key) => [key.id, key.revokedAt]))
  const found: string[] = []
  for (const { keyId, sending } of sendings) {
    if (!succeeded(sending)) continue
    if (sending.sentAt > (revokedAt.get(keyId) ?? Number.POSITIVE_INFINITY))
      found.push(`${sending.requestId} served after the revocation of ${keyId}`)
  }
  for (const { body, sending: suspension } of changes) {
    if (body.status !== 'suspended' || !succeeded(suspension)) continue
    // Up to the first change that may have come after it and let the tenant in again.
    const end = Math.min(
      ...changes
        .filter(({ body, sending }) => body.status === 'active' && sending.answeredAt > suspension.sentAt)
        .map(({ sending }) => sending.sentAt),
    )
    for (const { sending } of sendings) {
      if (succeeded(sending) && sending.sentAt > suspension.answeredAt && sending.answeredAt < end)
        found.push(`${sending.requestId} served while suspended`)
    }
  }
  return found
}

/** Each acknowledged change of the operator's is a version. */
function operatorAnomalies({ changes }: TenantLog, { profileVersion }: Ledger): string[] {
  const acknowledged = changes.filter(({ sending }) => succeeded(sending)).length
  const unknown = changes.filter(({ sending }) => sending.answer.status === 503).length
  const applied = profileVersion - 1
  const unexpected = changes.filter(({ sending: { answer } }) => ![200, 503].includes(answer.status))
  return [
    ...unexpected.map(({ sending: { answer } }) => `the operator was answered ${answer.status}`),
    ...(applied >= acknowledged && applied <= acknowledged + unknown
      ? []
      : [`${acknowledged} changes by the operator (and ${unknown} unknown) made ${applied} versions`]),
  ]
}
