// One call of a model, streamed. Whatever the upstream does, it comes to a typed outcome with the text so far and the
// tokens that it took: as the upstream counted them, or else estimated.
import type { Model } from './model.ts'

export interface Message {
  role: 'user' | 'assistant'
  content: string
}

export interface Parameters {
  temperature?: number | undefined
  topP?: number | undefined
  maxOutputTokens: number
}

export interface Prompt {
  instructions: string
  messages: ReadonlyArray<Message>
  parameters: Parameters
}

export const CALL_FAILURES = [
  'upstream_timeout',
  'upstream_unavailable',
  'upstream_rate_limited',
  'upstream_misconfigured',
  'upstream_refused',
  'upstream_failed',
  'upstream_broken_off',
] as const
export type CallFailure = (typeof CALL_FAILURES)[number]
export const CALL_OUTCOMES = ['succeeded', 'cancelled', ...CALL_FAILURES] as const
export type CallOutcome = (typeof CALL_OUTCOMES)[number]

export interface Called {
  outcome: CallOutcome
  /** Of the HTTP answer of a server that took none; null for any other. The operator's: no tenant sees it. */
  refusedWith: number | null
  text: string
  inputTokens: number
  outputTokens: number
  /** The upstream did not say; these are from the lengths of the texts. */
  usageEstimated: boolean
  /** From the call to the first text; null where none came. */
  firstTextMs: number | null
  durationMs: number
}

/** What became of a call that was not made. */
export const notCalled = (outcome: 'cancelled' | 'upstream_unavailable'): Called => ({
  outcome,
  refusedWith: null,
  text: '',
  inputTokens: 0,
  outputTokens: 0,
  usageEstimated: false,
  firstTextMs: null,
  durationMs: 0,
})

export interface CallTimes {
  /** Until the first text, or the first of what a model thinks before it. */
  firstTextMs: number
  /** Between one and the next. */
  silenceMs: number
}

const CALL_TIMES: CallTimes = { firstTextMs: 30_000, silenceMs: 30_000 }
/** About as long as a token is in English text. */
const BYTES_PER_TOKEN = 4
/** No language takes as much over a whole text, though single tokens are longer: such as one of many spaces. */
const MOST_BYTES_PER_TOKEN = 16
const LONG_TOKEN_BYTES = 128
/** Of an answer, around each token: the JSON of its event. */
const FRAME_BYTES = 1_024
/** And for what some models think beyond the tokens that they are given. */
const MOST_THOUGHT_BYTES = 1_024 * 1_024
/** What a message takes beside its text. */
const TOKENS_PER_MESSAGE = 8

/** With these the upstream has had the prompt, whether or not it has said anything. */
const TAKEN: ReadonlySet<CallOutcome> = new Set([
  ...(['succeeded', 'cancelled', 'upstream_timeout', 'upstream_broken_off'] as const),
])

/** It takes the key for none, or for one without money or rights, or knows no such model: nothing that a tenant could mend. */
const MISCONFIGURED: ReadonlySet<number> = new Set([401, 402, 403, 404])

/** Large, and most requests need none of it: loaded with the first call. */
const library = async () => {
  const [{ APICallError, streamText }, { createOpenAICompatible }] = await Promise.all([
    import('ai'),
    import('@ai-sdk/openai-compatible'),
  ])
  return { APICallError, streamText, createOpenAICompatible }
}
type Library = Awaited<ReturnType<typeof library>>

const bytesOf = (text: string): number => Buffer.byteLength(text)

/** Never less than the upstream will count: no tokenizer makes more tokens than bytes. */
export const mostTokens = ({ instructions, messages, parameters }: Prompt): number =>
  [instructions, ...messages.map(({ content }) => content)].reduce(
    (sum, text) => sum + bytesOf(text) + TOKENS_PER_MESSAGE,
    parameters.maxOutputTokens,
  )

type Counts = Pick<Called, 'inputTokens' | 'outputTokens'>

const isCount = (tokens: unknown): tokens is number => Number.isSafeInteger(tokens) && Number(tokens) >= 0

/**
 * Undefined where the upstream does not count, counts one of the two alone, or says what is no count: with less than nothing,
 * it would give tokens; with none, what was said for nothing. No prompt takes none.
 * @param raw as it said it: the library takes what is missing for 0
 */
function toldBy(raw: Readonly<Record<string, unknown>> | undefined, said: boolean): Counts | undefined {
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = raw ?? {}
  if (!isCount(inputTokens) || !isCount(outputTokens)) return undefined
  return inputTokens === 0 || (outputTokens === 0 && said) ? undefined : { inputTokens, outputTokens }
}

/** As much text as is taken of a model, so that a run can always be stored, in the room that it holds. */
export const mostTextBytes = ({ maxOutputTokens }: Pick<Parameters, 'maxOutputTokens'>): number =>
  LONG_TOKEN_BYTES + MOST_BYTES_PER_TOKEN * maxOutputTokens

const mostAnswerBytes = ({ maxOutputTokens }: Parameters): number =>
  MOST_THOUGHT_BYTES + FRAME_BYTES * maxOutputTokens

/**
 * Asks where the operator said, and nowhere else: what is redirected takes the prompt along, and to http as well.
 * @param mostBytes of the answer. What frames a text is kept in memory as well, until a whole event is there.
 * @param tooMuch ends the request
 */
const fetchingAtMost =
  (mostBytes: number, tooMuch: () => void): typeof fetch =>
  async (url, init) => {
    const answer = await fetch(url, { ...init, redirect: 'error' })
    let bytes = 0
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length
        if (bytes > mostBytes) tooMuch()
        else controller.enqueue(chunk)
      },
    })
    return new Response(answer.body?.pipeThrough(counted) ?? null, answer)
  }

const estimated = (bytes: number): number => Math.ceil(bytes / BYTES_PER_TOKEN)

/** @param signal whoever asked does not want it any more. @param onText is waited for */
export async function callModel(
  model: Model,
  { instructions, messages, parameters }: Prompt,
  { signal, onText }: { signal: AbortSignal; onText: (text: string) => Promise<void> },
  times: CallTimes = CALL_TIMES,
): Promise<Called> {
  const { APICallError, streamText, createOpenAICompatible } = await library()
  if (signal.aborted) return notCalled('cancelled')
  const startedAt = performance.now()
  const silence = new AbortController()
  /** It says more than it was asked for. */
  const excess = new AbortController()
  let timer = setTimeout(() => silence.abort(), times.firstTextMs)
  let text = ''
  let textBytes = 0
  /** Of the text, and of what was thought, which is taken as well though nobody sees it. */
  let outputBytes = 0
  let firstTextMs: number | null = null
  let told: Counts | undefined
  let failure: unknown
  try {
    const provider = createOpenAICompatible({
      name: 'upstream',
      baseURL: model.baseUrl,
      includeUsage: true,
      fetch: fetchingAtMost(mostAnswerBytes(parameters), () => excess.abort()),
      ...(model.apiKey !== null && { apiKey: model.apiKey }),
    })
    const { maxOutputTokens, temperature, topP } = parameters
    const { stream } = streamText({
      model: provider.chatModel(model.upstreamModel),
      ...(instructions !== '' && { instructions }),
      messages: messages.map(({ role, content }) => ({ role, content })),
      maxOutputTokens,
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { topP }),
      maxRetries: 0,
      abortSignal: AbortSignal.any([signal, silence.signal, excess.signal]),
      // Told below, as an outcome.
      onError() {},
    })
    for await (const part of stream) {
      if (part.type === 'text-delta' || part.type === 'reasoning-delta') {
        clearTimeout(timer)
        outputBytes += bytesOf(part.text)
        if (part.type === 'text-delta') {
          textBytes += bytesOf(part.text)
          if (textBytes > mostTextBytes(parameters)) {
            excess.abort()
            break
          }
          firstTextMs ??= Math.round(performance.now() - startedAt)
          text += part.text
          await onText(part.text)
        }
        timer = setTimeout(() => silence.abort(), times.silenceMs)
      } else if (part.type === 'finish') {
        told = toldBy(part.totalUsage.raw, outputBytes > 0)
        // A stream that ends without saying why was broken off. Servers have reasons of their own, such as `eos`.
        if (part.rawFinishReason === undefined || part.rawFinishReason === 'error')
          failure ??= new Error('no end')
      } else if (part.type === 'error') {
        failure ??= part.error
      }
    }
  } catch (error) {
    failure ??= error
  } finally {
    clearTimeout(timer)
  }
  const outcome = signal.aborted
    ? 'cancelled'
    : silence.signal.aborted
      ? 'upstream_timeout'
      : excess.signal.aborted
        ? 'upstream_failed'
        : failure === undefined
          ? 'succeeded'
          : failureOf(APICallError, failure, outputBytes > 0)
  // Nothing was taken where the upstream never began. One that is silent may be at work on what it was sent.
  const began = told !== undefined || outputBytes > 0 || excess.signal.aborted || TAKEN.has(outcome)
  const inputBytes = [instructions, ...messages.map(({ content }) => content)].reduce(
    (sum, each) => sum + bytesOf(each),
    0,
  )
  return {
    outcome,
    refusedWith: (APICallError.isInstance(failure) && failure.statusCode) || null,
    text,
    inputTokens: told?.inputTokens ?? (began ? estimated(inputBytes) : 0),
    outputTokens: told?.outputTokens ?? estimated(outputBytes),
    usageEstimated: told === undefined && began,
    firstTextMs,
    durationMs: Math.round(performance.now() - startedAt),
  }
}

function failureOf(APICallError: Library['APICallError'], error: unknown, begun: boolean): CallFailure {
  if (!APICallError.isInstance(error)) return begun ? 'upstream_broken_off' : 'upstream_failed'
  const { statusCode } = error
  if (statusCode === undefined) return begun ? 'upstream_broken_off' : 'upstream_unavailable'
  if (statusCode === 429) return 'upstream_rate_limited'
  if (MISCONFIGURED.has(statusCode)) return 'upstream_misconfigured'
  if (statusCode >= 500) return 'upstream_failed'
  if (statusCode >= 400) return 'upstream_refused'
  return begun ? 'upstream_broken_off' : 'upstream_failed'
}
