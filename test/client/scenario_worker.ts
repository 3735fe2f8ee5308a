// A worker that uses the client: it does the scenario when it is asked to.
import { scenario, type Where } from './scenario.ts'

export default {
  async fetch(request: Request): Promise<Response> {
    try {
      return Response.json(await scenario((await request.json()) as Where))
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 })
    }
  },
}
