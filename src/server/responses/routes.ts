import { type Context, Hono } from "hono"
import { begun } from "../begun.js"
import { readJson } from "../body.js"
import type { ServerContext } from "../context.js"
import { type SseMessage, sseResponse } from "../event_stream.js"
import { asRequestError } from "../faults.js"
import { openaiError } from "../openai/errors.js"
import { describeRoute } from "../openapi.js"
import { asSpelled, spellingNames } from "../openai/param_names.js"
import { refused, RequestError } from "../request_error.js"
import type { HeldModel, TurnEvent } from "../served_model.js"
import { whole } from "../whole.js"
import { BackgroundResponses } from "./background.js"
import { earlierItems, ownItems } from "./history.js"
import { itemList, itemQuery } from "./item_list.js"
import { newResponseId } from "./items.js"
import { messagesOf } from "./messages.js"
import { type ResponseRequest, responseBody, responseRequest } from "./request.js"
import { begunResponse, type ResponseObject } from "./response.js"
import type { StoredResponse } from "./store.js"
import { type ResponseEvent, responseEvents, ResponseWriter } from "./turn.js"

/** Both with and without `/v1`, as llama-server has them. */
const paths = (rest = "") => [`/v1/responses${rest}`, `/responses${rest}`]

/** OpenAI's Responses API. What is thrown is for `openaiError`. */
export function responsesRoutes({ models, max_body, responses }: ServerContext): Hono {
  const app = new Hono()
  const background = responses ?? new BackgroundResponses()
  const { store } = background

  const conversation = async (id: string, { body, options }: ResponseRequest) => {
    const earlier = await earlierItems(store, body.previous_response_id)
    const own = await ownItems(store, id, body.input ?? [], earlier)
    const messages = messagesOf([...earlier.map((item) => ({ item })), ...own])
    if (messages.length === 0) {
      // Instructions alone are a prompt, too.
      if (!options.instructions) throw refused("input", "expected a string or a list of items, at least one")
      messages.push({ role: "developer", content: options.instructions })
      return { own: [], messages, options: { ...options, instructions: null } }
    }
    return { own: own.map(({ item }) => item), messages, options }
  }

  app.on(
    "POST",
    paths(),
    describeRoute({ summary: "Answers, with tools and state", body: responseBody }),
    async (c) => {
      const request = responseRequest(await readJson(c.req.raw, max_body))
      const id = newResponseId()
      const { own, messages, options } = await conversation(id, request)
      const { signal } = c.req.raw
      const held = await models.hold(request.body.model ?? undefined, signal)
      const turn = (signal: AbortSignal) =>
        turnOf(held, (model) => spellingNames(model.chat(messages, { ...options, signal }), request.names))
      const writer = writerOf(begunResponse(id, held.model.info.name, request), request)
      if (request.background) {
        // A turn that never begins does not release it.
        const queued = background.start(writer, own, turn).catch((error) => {
          held.release()
          throw error
        })
        return c.json(await queued)
      }
      const keep = async (response: ResponseObject) => {
        if (request.store) await store.put({ response, input: own })
      }
      if (request.stream) return sseResponse(numbered(streamed(writer, await begunTurn(turn, signal), keep)))
      const response = await whole(responseEvents(writer, turn(signal)))
      await keep(response)
      return c.json(response)
    },
  )

  app.on(
    "POST",
    paths("/input_tokens"),
    describeRoute({ summary: "Counts a prompt's tokens", body: responseBody }),
    async (c) => {
      const request = responseRequest(await readJson(c.req.raw, max_body))
      const { messages, options } = await conversation(newResponseId(), request)
      const { instructions, reasoning_effort, tools, tool_choice, response_format } = options
      const { model, release } = await models.hold(request.body.model ?? undefined, c.req.raw.signal)
      try {
        const params = { instructions, reasoning_effort, tools, tool_choice, response_format }
        const ids = await asSpelled(model.render(messages, params), request.names)
        return c.json({ object: "response.input_tokens", input_tokens: ids.length })
      } finally {
        release()
      }
    },
  )

  const kept = async (c: Context): Promise<StoredResponse> => {
    const id = c.req.param("id")!
    const stored = await store.get(id)
    if (stored) return { ...stored, response: background.current(stored.response) }
    const message = `no response ${JSON.stringify(id.slice(0, 80))} is kept here`
    throw new RequestError("not_found", message, { param: "response_id", code: "response_not_found" })
  }

  app.on("GET", paths("/:id"), describeRoute({ summary: "A stored response" }), async (c) => {
    const { response } = await kept(c)
    if (c.req.query("stream") === "true") {
      throw refused("stream", "a response is streamed while it is made, not afterwards: leave this out")
    }
    return c.json(response)
  })

  app.on("DELETE", paths("/:id"), describeRoute({ summary: "Deletes a stored response" }), async (c) => {
    const { id } = (await kept(c)).response
    await background.cancel(id)
    await store.delete(id)
    return c.json({ id, object: "response", deleted: true })
  })

  const items = describeRoute({ summary: "What a stored response was asked", query: itemQuery })
  app.on("GET", paths("/:id/input_items"), items, async (c) => c.json(itemList((await kept(c)).input, c.req.query())))

  app.on("POST", paths("/:id/cancel"), describeRoute({ summary: "Ends a response in the background" }), async (c) => {
    const { response } = await kept(c)
    if (!response.background) throw refused("response_id", "only a response in the background can be cancelled")
    await background.cancel(response.id)
    return c.json((await kept(c)).response)
  })

  return app
}

function writerOf(response: ResponseObject, { tools, seals }: ResponseRequest): ResponseWriter {
  const custom = tools.flatMap(({ type, name }) => (type === "custom" ? [name] : []))
  return new ResponseWriter(response, { custom: new Set(custom), seals })
}

/** A turn, whose end releases the model. */
async function* turnOf(
  { model, release }: HeldModel,
  start: (model: HeldModel["model"]) => AsyncIterable<TurnEvent>,
): AsyncGenerator<TurnEvent, void, undefined> {
  try {
    yield* start(model)
  } finally {
    release()
  }
}

/**
 * A turn that has begun: what is wrong with a request is thrown at once. That a conversation does not fit is told in the stream, where
 * Codex looks for it to shorten the conversation by itself.
 */
async function begunTurn(
  turn: (signal: AbortSignal) => AsyncIterable<TurnEvent>,
  signal: AbortSignal,
): Promise<AsyncIterableIterator<TurnEvent>> {
  try {
    return await begun(turn, signal)
  } catch (error) {
    if (asRequestError(error).kind !== "context_length") throw error
    return failing(error)
  }
}

// biome-ignore lint/correctness/useYield: it fails before it has anything
async function* failing(error: unknown): AsyncGenerator<never, void, undefined> {
  throw error
}

/** All events of a response, which is kept before a client hears that it is done. */
async function* streamed(
  writer: ResponseWriter,
  turn: AsyncIterableIterator<TurnEvent>,
  keep: (response: ResponseObject) => Promise<void>,
): AsyncGenerator<ResponseEvent, void, undefined> {
  let response: ResponseObject
  try {
    response = yield* responseEvents(writer, turn)
  } catch (error) {
    const fault = asRequestError(error)
    response = writer.failed(fault)
    const { message, code, param } = openaiError(fault).body.error
    yield { type: "error", code, message, param }
  } finally {
    // Who leaves at the first events has not come to the turn yet.
    await turn.return?.()
  }
  await keep(response)
  yield { type: `response.${response.status}`, response }
}

async function* numbered(events: AsyncIterable<ResponseEvent>): AsyncGenerator<SseMessage, void, undefined> {
  let sequence_number = 0
  for await (const event of events) {
    yield { event: event.type, data: JSON.stringify({ ...event, sequence_number: sequence_number++ }) }
  }
}
