// A region on AWS Lambda: the same app, asked by events of a Function URL or an HTTP API (payload format 2.0) in place of a
// listener. Between two events Lambda freezes the process, and may never wake it again, so nothing here relies on a timer:
// whatever an event left in memory, such as usage, is written down before its answer ends, and jobs are for an instance that
// always runs (`node regional/server.ts`) in the same region.
import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { Hono } from 'hono'
import { handle, streamHandle } from 'hono/aws-lambda'
import { collectInTheBackground } from './collection.ts'
import { readConfig } from './config.ts'
import { startRegion } from './server.ts'

/** What could not be written in this time is left for a later event: the client waits for the answer's end. */
const FLUSH_WITHIN_MS = 1_000

/** Only `/tmp` can be written there, and nothing can be mounted: the cluster file comes as a variable. */
const { FDB_CLUSTER_FILE: clusterFile, FDB_CLUSTER_FILE_CONTENTS: contents } = process.env
if (clusterFile !== undefined && contents !== undefined && !existsSync(clusterFile)) {
  writeFileSync(clusterFile, contents)
}

collectInTheBackground()
/** No listener, and with it no worker. */
const region = await startRegion({ ...readConfig(process.env), REGION_INSTANCES: 0 })
const app = await region.app()

const flush = () => Promise.race([region.flush(), pause(FLUSH_WITHIN_MS)])

const front = new Hono()
// A Function URL is open to everyone, and these are of one instance among many.
for (const path of ['/metrics', '/readyz']) front.all(path, (c) => c.notFound())
front.all('*', async (c) => {
  const response = await app.fetch(c.req.raw)
  if (response.body !== null)
    return new Response(response.body.pipeThrough(new TransformStream({ flush })), response)
  await flush()
  return response
})

/** For a Function URL with `InvokeMode: RESPONSE_STREAM`: answers stream, such as an agent's run. */
export const handler = streamHandle(front)
/** For an HTTP API, and a Function URL that buffers: an answer goes out when it is whole. */
export const buffered = handle(front)
