// Every kind of event there is, and what it says: what services may tell of, what an endpoint may ask for, and what the
// documents list. A type is `<resource>.<what happened>`.

export const EVENT_TYPES = {
  'tenant.created':
    'The organisation was made, with its first owner; by an operator, also with its first key and the owner’s link to the console.',
  'tenant.updated': 'Its name, limits, plan or how its people see it changed.',
  'tenant.suspended': 'The operator suspended the organisation.',
  'tenant.resumed': 'The operator let the organisation in again.',
  'tenant.isolated': 'It asks a busy region for far more than its share, and gets less until it does not.',
  'tenant.released': 'It is isolated no more.',
  'member.created': 'Somebody became a member.',
  'member.updated': 'A member’s role or name changed.',
  'member.deleted': 'A member was removed.',
  'invitation.created': 'Somebody was invited.',
  'invitation.accepted': 'An invitation was accepted.',
  'invitation.revoked': 'An invitation was taken back.',
  'identity_provider.created': 'An identity provider was added.',
  'identity_provider.updated': 'An identity provider was changed.',
  'identity_provider.deleted': 'An identity provider was removed.',
  'api_key.created': 'An API key was made.',
  'api_key.rotated': 'An API key got a successor, whose id `data` has.',
  'api_key.revoked': 'An API key was revoked.',
  'admin_link.created': 'A link to the console was made.',
  'admin_link.revoked': 'A link to the console was taken back.',
  'session.created': 'Somebody signed in to the console.',
  'session.ended': 'A session of the console was ended.',
  'domain.created': 'A custom domain was claimed.',
  'domain.verified': 'A custom domain was shown to be the organisation’s.',
  'domain.lost':
    'Another organisation has shown a custom domain to be theirs, and its DNS no more that it is this one’s.',
  'domain.deleted': 'A custom domain was given up.',
  'project.created': 'A project was made.',
  'project.updated': 'A project’s name or description changed.',
  'project.archived': 'A project was archived.',
  'project.restored': 'An archived project was restored.',
  'project.deleted': 'A project was deleted.',
  'collection.created': 'A collection was made.',
  'collection.updated': 'A collection’s indexes or schema changed.',
  'collection.index_ready': 'An index was built: queries use it from now on.',
  'collection.index_failed': 'An index could not be built.',
  'collection.deleted': 'A collection was deleted.',
  'record.created': 'A record was made.',
  'record.updated': 'A record changed.',
  'record.deleted': 'A record was deleted, or its time was over.',
  'agent.created': 'An agent was made.',
  'agent.updated': 'An agent changed.',
  'agent.deleted': 'An agent was deleted.',
  'run.started': 'A run of an agent began.',
  'run.cancelling': 'A run was asked to stop.',
  'run.succeeded': 'A run ended with an answer.',
  'run.failed': 'A run ended without one.',
  'run.cancelled': 'A run was stopped.',
  'run.deleted': 'A run that had ended was deleted.',
  'job.cancelled': 'A job was cancelled, or nobody wants it any more.',
  'job.failed': 'A job could not be done, and is not tried again.',
  'webhook_source.created': 'A source of inbound webhooks was made.',
  'webhook_source.updated': 'A source of inbound webhooks changed.',
  'webhook_source.deleted': 'A source of inbound webhooks was deleted.',
  'webhook.received': 'A third party’s webhook came in.',
  'webhook_endpoint.created': 'A webhook endpoint was made.',
  'webhook_endpoint.updated': 'A webhook endpoint, or its secret, changed.',
  'webhook_endpoint.enabled': 'A webhook endpoint was enabled: what was held for it is sent.',
  'webhook_endpoint.failing': 'A webhook endpoint has failed for days, and will be disabled.',
  'webhook_endpoint.disabled':
    'A webhook endpoint was disabled: by somebody, because it failed, or because it is gone.',
  'webhook_endpoint.recovering': 'What a webhook endpoint missed is sent again.',
  'webhook_endpoint.deleted': 'A webhook endpoint was deleted.',
  'webhook_endpoint.test': 'Sent to a webhook endpoint to try it out; never in the feed.',
} as const

export type EventType = keyof typeof EVENT_TYPES

/** A type of event, or all of a resource's, as in `project.*`. */
export const namesEvents = (text: string): boolean =>
  Object.hasOwn(EVENT_TYPES, text) ||
  Object.keys(EVENT_TYPES).some((type) => `${type.split('.')[0]}.*` === text)
