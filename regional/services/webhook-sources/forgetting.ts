// What came is kept as long as events are.
import { forgetting } from '../../jobs/forgetting.ts'
import { clearReceived } from './store.ts'

/** Each may be a megabyte to read. */
const PAGE = 10

export const received = forgetting<[sourceId: string, webhookId: string]>(
  'webhook-sources',
  PAGE,
  (tx, [sourceId, webhookId]) => clearReceived(tx, sourceId, webhookId),
)
