// What a stage of the pipeline is, and how a request goes through them.
import type { RequestContext } from './context.ts'

/**
 * Reads a request's context and writes what it decides there. One that answers ends the way; one that refuses throws.
 * @throws {Problem} for a refusal
 */
export type Stage = (context: RequestContext) => Answered | Promise<Answered>
/** What most stages do not. */
type Answered = Response | undefined

/** In order, to the first that answers. A stage that has nothing to wait for costs no turn of the event loop. */
export async function through(stages: ReadonlyArray<Stage>, context: RequestContext): Promise<Response> {
  for (const stage of stages) {
    const done = stage(context)
    const answer = done instanceof Promise ? await done : done
    if (answer !== undefined) return answer
  }
  throw new Error('no stage has answered')
}
