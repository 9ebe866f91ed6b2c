import { type Context, Hono } from "hono"
import { begun } from "../begun.js"
import { parseBody, readJson } from "../body.js"
import type { ServerContext } from "../context.js"
import { type SseMessage, sseResponse } from "../event_stream.js"
import { asRequestError } from "../faults.js"
import { cardOf } from "../models/card_of.js"
import { describeRoute } from "../openapi.js"
import type { ServedModel, TurnEvent } from "../served_model.js"
import { assembled, messageEvents, type StreamEvent, tellingOf } from "./answer.js"
import { conversationOf, type Rendered } from "./conversation.js"
import { anthropicError } from "./errors.js"
import { anthropicModel, anthropicModels, holdModel } from "./models.js"
import { countBody, type MessagesBody, messagesBody } from "./request.js"

const MESSAGES = "Anthropic's Messages API: the next message of a conversation, whole or as a stream"
const COUNT = "The tokens that such a request begins from"

const PING: SseMessage = { event: "ping", data: '{"type":"ping"}' }

/** Anthropic's Messages API and list of models, which come before OpenAI's. What is thrown is for {@link anthropicError}. */
export function anthropicRoutes({ models, max_body }: ServerContext): Hono {
  const app = new Hono()

  app.post("/v1/messages", describeRoute({ summary: MESSAGES, body: messagesBody }), async (c) => {
    const body = parseBody(messagesBody, await readJson(c.req.raw, max_body))
    const conversation = conversationOf(body)
    const start = async function* (signal: AbortSignal): AsyncGenerator<StreamEvent, void, undefined> {
      const { model, release } = await holdModel(models, body.model, signal)
      try {
        yield* messageEvents(turnOf(model, conversation, body, signal), tellingOf(body, model.info.name))
      } finally {
        release()
      }
    }
    if (!body.stream) return c.json(await assembled(start(c.req.raw.signal)))
    return sseResponse(sseMessages(await begun(start, c.req.raw.signal)), PING)
  })

  app.post("/v1/messages/count_tokens", describeRoute({ summary: COUNT, body: countBody }), async (c) => {
    const body = parseBody(countBody, await readJson(c.req.raw, max_body))
    const { messages, params } = conversationOf(body)
    const { model, release } = await holdModel(models, body.model, c.req.raw.signal)
    try {
      return c.json({ input_tokens: (await model.render(messages, params)).length })
    } finally {
      release()
    }
  })

  // Without the header these are routes of OpenAI's API.
  const isTheirs = (c: Context) => c.req.header("anthropic-version") !== undefined
  app.get("/v1/models", async (c, next) => (isTheirs(c) ? c.json(anthropicModels(await models.list())) : next()))
  app.get("/v1/models/:id{.+}", async (c, next) =>
    isTheirs(c) ? c.json(anthropicModel(await cardOf(models, c.req.param("id")))) : next(),
  )

  return app
}

function turnOf(
  model: ServedModel,
  { messages, params }: Rendered,
  { max_tokens, stop_sequences, temperature, top_p, top_k }: MessagesBody,
  signal: AbortSignal,
): AsyncIterable<TurnEvent> {
  const stop = stop_sequences?.length ? stop_sequences : null
  return model.chat(messages, { ...params, max_tokens: max_tokens || 1, stop, temperature, top_p, top_k, signal })
}

/** What fails once the response has begun is the stream's last event. */
async function* sseMessages(events: AsyncIterable<StreamEvent>): AsyncGenerator<SseMessage, void, undefined> {
  try {
    for await (const event of events) yield { event: event.type, data: JSON.stringify(event) }
  } catch (error) {
    yield { event: "error", data: JSON.stringify(anthropicError(asRequestError(error)).body) }
  }
}
