import type { CancelSignal } from "../backends/backend.js"
import { anyOf } from "../engine/ending.js"
import { asRequestError } from "./faults.js"
import { logFault, type ServerLog } from "./log.js"
import type { ServerMetrics } from "./metrics.js"
import { currentRequest } from "./node_current_request.js"
import type { CompletionEvent, HeldModel, ModelDirectory, ServedModel, TurnEvent } from "./served_model.js"
import type { ServedRequest } from "./served_request.js"
import { generationSpan } from "./telemetry.js"

export interface Watchers {
  readonly metrics: ServerMetrics
  readonly log: ServerLog
  /** Whether the log has what is asked. */
  readonly log_prompts: boolean
}

/**
 * The same models, watched: what is generated for a request is counted, ends when the request does, and shows in its log line. A
 * model belongs to the request in which it was held.
 */
export function watchModels(models: ModelDirectory, watchers: Watchers): ModelDirectory {
  return {
    list: () => models.list(),
    loads: () => models.loads(),
    async hold(name, signal): Promise<HeldModel> {
      const current = currentRequest.getStore()
      // What a request leaves running behind it, such as a batch, is no longer its own.
      const request = current?.isOver ? undefined : current
      const held = await untilOver(request, () => models.hold(name, endsWith(request, signal)))
      if (request) request.model = held.model.info.name
      return { model: watched(held.model, request, watchers), release: () => held.release() }
    },
  }
}

function watched(model: ServedModel, request: ServedRequest | undefined, watchers: Watchers): ServedModel {
  const { log, log_prompts } = watchers
  const asked = (what: object) => {
    if (log_prompts) log.info({ request_id: request?.id, model: model.info.name, ...what }, "prompt")
  }
  return {
    info: model.info,
    chat(messages, options) {
      asked({ messages })
      const signal = endsWith(request, options.signal)
      return follow("chat", model.chat(messages, { ...options, signal }), model, request, watchers)
    },
    generate(prompt, options) {
      asked({ prompt })
      const signal = endsWith(request, options.signal)
      return follow("text_completion", model.generate(prompt, { ...options, signal }), model, request, watchers)
    },
    render: (messages, params) => model.render(messages, params),
    tokenize: (text, special) => model.tokenize(text, special),
    detokenize: (ids) => model.detokenize(ids),
    load: () => model.load(),
  }
}

async function* follow<Event extends TurnEvent | CompletionEvent>(
  operation: "chat" | "text_completion",
  events: AsyncIterable<Event>,
  { info }: ServedModel,
  request: ServedRequest | undefined,
  { metrics, log }: Watchers,
): AsyncGenerator<Event, void, undefined> {
  const span = generationSpan(operation, info.name, request)
  const generation = metrics.generation(info.name, request?.started)
  let isRead = false
  const read = (prompt_tokens: number, cached_tokens: number) => {
    if (isRead) return
    isRead = true
    generation.read(prompt_tokens, cached_tokens)
    if (!request) return
    request.prompt_tokens += prompt_tokens
    request.cached_tokens += cached_tokens
  }
  try {
    for await (const event of events) {
      if (event.type === "start") {
        read(event.prompt_tokens, event.cached_tokens)
      } else {
        generation.begun()
        if (event.type === "summary") {
          read(event.prompt_tokens, event.cached_tokens)
          generation.ended(event.completion_tokens)
          if (request) request.completion_tokens += event.completion_tokens
          span.done(event)
        }
      }
      yield event
    }
  } catch (error) {
    const cause = asRequestError(request?.ending.aborted ? request.ending.reason : error)
    logFault(log, cause, request?.id)
    if (request) request.error = cause.kind
    span.failed(cause)
    throw cause
  } finally {
    span.end()
  }
}

function endsWith(request: ServedRequest | undefined, signal: CancelSignal | undefined): CancelSignal | undefined {
  if (!request) return signal
  return signal ? anyOf(signal, request.ending) : request.ending
}

/** What fails because the request ended fails with the request's own reason. */
async function untilOver<T>(request: ServedRequest | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw request?.ending.aborted ? asRequestError(request.ending.reason) : error
  }
}
