import { type Context, Hono } from "hono"
import { begun } from "../begun.js"
import { parseBody, readJson } from "../body.js"
import type { ServerContext } from "../context.js"
import { type SseMessage, sseResponse } from "../event_stream.js"
import { asRequestError } from "../faults.js"
import { describeRoute } from "../openapi.js"
import { RequestError } from "../request_error.js"
import type { ServedModel } from "../served_model.js"
import { whole } from "../whole.js"
import { chatChunks } from "./chat.js"
import { chatBody, chatRequest } from "./chat_request.js"
import { completionChunks } from "./completion.js"
import { completionBody, completionRequest } from "./completion_request.js"
import { openaiError } from "./errors.js"
import { modelList, modelNamed } from "./models.js"
import { spellingNames } from "./param_names.js"

/** Pieces of an answer; what is returned is the answer as a whole. */
type Chunks = AsyncGenerator<object, object, undefined>

/**
 * OpenAI's Chat Completions, Completions, Models, and a refusal of Embeddings; each also without `/v1`, as llama-server has them.
 * What is thrown is for {@link openaiError}.
 */
export function openaiRoutes({ models, max_body, version }: ServerContext): Hono {
  const app = new Hono()

  const answered = async (
    c: Context,
    request: { readonly model: string | undefined; readonly stream: boolean },
    chunksOf: (model: ServedModel, signal: AbortSignal) => Chunks,
  ): Promise<Response> => {
    const start = async function* (signal: AbortSignal): Chunks {
      const { model, release } = await models.hold(request.model, signal)
      try {
        return yield* chunksOf(model, signal)
      } finally {
        release()
      }
    }
    if (!request.stream) return c.json(await whole(start(c.req.raw.signal)))
    return sseResponse(sseMessages(await begun(start, c.req.raw.signal)))
  }

  const chat = describeRoute({ summary: "Answers a conversation (OpenAI's Chat Completions)", body: chatBody })
  app.on("POST", ["/v1/chat/completions", "/chat/completions"], chat, async (c) => {
    const request = chatRequest(parseBody(chatBody, await readJson(c.req.raw, max_body)))
    return answered(c, request, (model, signal) =>
      spellingNames(chatChunks(model, request, version, signal), request.names),
    )
  })

  const completion = describeRoute({
    summary: "Continues text or token ids (OpenAI's Completions)",
    body: completionBody,
  })
  app.on("POST", ["/v1/completions", "/completions"], completion, async (c) => {
    const request = completionRequest(parseBody(completionBody, await readJson(c.req.raw, max_body)))
    return answered(c, request, (model, signal) => completionChunks(model, request, version, signal))
  })

  const list = describeRoute({ summary: "The models, for everyone and for Codex" })
  app.on("GET", ["/v1/models", "/models"], list, async (c) => c.json(await modelList(models)))
  const one = describeRoute({ summary: "A model" })
  app.on("GET", ["/v1/models/:name{.+}", "/models/:name{.+}"], one, async (c) =>
    c.json(await modelNamed(models, c.req.param("name"))),
  )

  const embeddings = describeRoute({ summary: "Answers 501: these models make no embeddings" })
  app.on("POST", ["/v1/embeddings", "/embeddings"], embeddings, () => {
    throw new RequestError(
      "not_implemented",
      "these models make no embeddings: point the client's embeddings at a server with an embedding model, such as llama-server --embedding",
    )
  })

  return app
}

/** What fails once the response has begun is the stream's last message. */
async function* sseMessages(chunks: AsyncIterable<object>): AsyncGenerator<SseMessage, void, undefined> {
  try {
    for await (const chunk of chunks) yield { data: JSON.stringify(chunk) }
    yield { data: "[DONE]" }
  } catch (error) {
    yield { data: JSON.stringify(openaiError(asRequestError(error)).body) }
  }
}
