import { type Context, Hono } from "hono"
import { begun } from "../begun.js"
import { parseBody, readJson } from "../body.js"
import type { ServerContext } from "../context.js"
import { ndjsonResponse } from "../event_stream.js"
import { asRequestError } from "../faults.js"
import { cardOf } from "../models/card_of.js"
import { describeRoute } from "../openapi.js"
import { RequestError } from "../request_error.js"
import type { ServedModel } from "../served_model.js"
import { Clock, chatLine, generateLine, joined, type Piece, textPieces, turnPieces } from "./answer.js"
import { messagesOf, optionsOf, paramsOf } from "./conversation.js"
import { ollamaError } from "./errors.js"
import { holdModel, modelName, runningOf, shownOf, tagOf } from "./models.js"
import { type ChatBody, chatBody, type GenerateBody, generateBody, type SharedBody } from "./request.js"

/** The version of Ollama whose protocol this is. Clients refuse to talk to one that they think too old. */
const OLLAMA_VERSION = "0.12.11"

/** What Ollama does and we do not, with what to do instead. */
const NOT_HERE = [
  ["POST", "/api/pull", "models are fetched with: minerva pull ORG/NAME"],
  ["DELETE", "/api/delete", "models are removed with: minerva rm ORG/NAME"],
  ["POST", "/api/embed", "this server has no embedding model"],
  ["POST", "/api/embeddings", "this server has no embedding model"],
  ["POST", "/api/create", "models are not made here"],
  ["POST", "/api/copy", "models are not copied here"],
  ["POST", "/api/push", "models are not published from here"],
] as const

/** Ollama's protocol. What is thrown is for {@link ollamaError}. */
export function ollamaRoutes({ models, max_body, version }: ServerContext): Hono {
  const app = new Hono()

  app.get("/api/version", describeRoute({ summary: "Ollama's version that this is like" }), (c) =>
    c.json({ version: OLLAMA_VERSION, minerva: version }),
  )
  app.get("/api/tags", describeRoute({ summary: "The models, for Ollama's clients" }), async (c) =>
    c.json({ models: await Promise.all((await models.list()).map(tagOf)) }),
  )
  app.get("/api/ps", describeRoute({ summary: "The models that are loaded" }), async (c) => {
    const loaded = (await models.list()).filter((card) => card.loaded)
    return c.json({ models: await Promise.all(loaded.map(runningOf)) })
  })
  app.post("/api/show", describeRoute({ summary: "What is known of a model" }), async (c) => {
    const name = modelName(await read(c, max_body))
    return c.json(shownOf(await cardOf(models, name)))
  })

  /** Holds the model and answers with pieces, in a stream or not. */
  const answer = async (
    c: Context,
    body: SharedBody,
    line: (model: string, piece: Piece) => object,
    piecesOf: (model: ServedModel, clock: Clock, signal: AbortSignal) => AsyncIterable<Piece>,
  ): Promise<Response> => {
    const clock = new Clock()
    const start = async function* (signal: AbortSignal): AsyncGenerator<Piece, void, undefined> {
      const { model, release } = await holdModel(models, body.model, signal)
      clock.hasLoaded()
      try {
        yield* piecesOf(model, clock, signal)
      } finally {
        release()
      }
    }
    if (body.stream === false) return c.json(line(body.model, await joined(start(c.req.raw.signal))))
    return ndjsonResponse(lines(await begun(start, c.req.raw.signal), (piece) => line(body.model, piece)))
  }

  /** Ollama's way to ask that a model be loaded. */
  const loaded = async (c: Context, body: SharedBody, line: (model: string, piece: Piece) => object) => {
    const { release } = await holdModel(models, body.model, c.req.raw.signal)
    release()
    return c.json({ ...line(body.model, {}), done: true, done_reason: "load" })
  }

  app.post("/api/chat", describeRoute({ summary: "Ollama's chat", body: chatBody }), async (c) => {
    const body: ChatBody = parseBody(chatBody, await read(c, max_body))
    if (!body.messages?.length) return loaded(c, body, chatLine)
    const messages = messagesOf(body.messages)
    const params = { ...paramsOf(body), tools: body.tools }
    return answer(c, body, chatLine, (model, clock, signal) => {
      const turn = model.chat(messages, { ...optionsOf(body, model.info), ...params, signal })
      return turnPieces(turn, clock, showsThinking(body))
    })
  })

  app.post("/api/generate", describeRoute({ summary: "Ollama's completion", body: generateBody }), async (c) => {
    const body: GenerateBody = parseBody(generateBody, await read(c, max_body))
    if (!body.prompt) return loaded(c, body, generateLine)
    const { prompt, system, raw } = body
    if (raw) return answer(c, body, generateLine, (model, clock, signal) => rawPieces(model, body, clock, signal))
    return answer(c, body, generateLine, (model, clock, signal) => {
      const options = { ...optionsOf(body, model.info), ...paramsOf(body), instructions: system, signal }
      const turn = model.chat([{ role: "user", content: prompt }], options)
      return turnPieces(turn, clock, showsThinking(body))
    })
  })

  for (const [method, path, instead] of NOT_HERE) {
    app.on(method, path, () => {
      throw new RequestError("not_implemented", `${path}: not supported; ${instead}`)
    })
  }
  return app
}

/** As Ollama does, curl's own content type included; not that of a browser's form on somebody's page, which tells its origin. */
function read(c: Context, limit: number): Promise<Record<string, unknown>> {
  return readJson(c.req.raw, limit, c.req.header("origin") === undefined)
}

function showsThinking({ think }: SharedBody): boolean {
  return think !== false && think !== "none"
}

/** Continues a prompt that the client has rendered itself. */
async function* rawPieces(
  model: ServedModel,
  body: GenerateBody,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Piece, void, undefined> {
  if (body.system) throw new RequestError("invalid_request", "system: nothing beside raw: true", { param: "system" })
  if (body.format) throw new RequestError("invalid_request", "format: nothing beside raw: true", { param: "format" })
  const prompt = await model.tokenize(body.prompt ?? "", true)
  yield* textPieces(model.generate(prompt, { ...optionsOf(body, model.info), signal }), clock)
}

/** What fails once the response has begun is the stream's last line. */
async function* lines(pieces: AsyncIterable<Piece>, line: (piece: Piece) => object): AsyncGenerator<object> {
  try {
    for await (const piece of pieces) yield line(piece)
  } catch (error) {
    yield ollamaError(asRequestError(error)).body
  }
}
