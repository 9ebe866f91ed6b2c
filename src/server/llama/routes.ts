import { Hono } from "hono"
import * as z from "zod"
import { checkTokenIds } from "../../engine/token_ids.js"
import { flag, model } from "../openai/fields.js"
import { parseBody, readJson } from "../body.js"
import type { ServerContext } from "../context.js"
import { chatBody, chatRequest } from "../openai/chat_request.js"
import { asSpelled } from "../openai/param_names.js"
import { cardOf } from "../models/card_of.js"
import { describeRoute } from "../openapi.js"
import type { ModelDirectory, ServedModel } from "../served_model.js"
import { properties } from "./properties.js"

const tokenizeBody = z.object({
  model,
  content: z.string({ error: "a string" }),
  /** The models have no token that every text begins with. */
  add_special: flag,
  parse_special: flag,
  with_pieces: z
    .literal(false, { error: "false: pieces are not told, as some are parts of characters; ask /detokenize" })
    .nullish(),
})

const detokenizeBody = z.object({
  model,
  tokens: z.array(z.number({ error: "a token id" }), { error: "a list of token ids" }),
})

const propsQuery = z.object({ model: z.string().optional() })

/** What llama-server has beside OpenAI's API, in its shapes (llama.cpp, tools/server/README.md). Errors are for `openaiError`. */
export function llamaRoutes({ models, max_body, version }: ServerContext): Hono {
  const app = new Hono()

  app.post("/tokenize", describeRoute({ summary: "Token ids of a text", body: tokenizeBody }), async (c) => {
    const body = parseBody(tokenizeBody, await readJson(c.req.raw, max_body))
    const special = body.parse_special ?? true
    return c.json({
      tokens: await asked(models, body.model, c.req.raw, (model) => model.tokenize(body.content, special)),
    })
  })

  app.post("/detokenize", describeRoute({ summary: "The text of token ids", body: detokenizeBody }), async (c) => {
    const body = parseBody(detokenizeBody, await readJson(c.req.raw, max_body))
    const content = await asked(models, body.model, c.req.raw, (model) => {
      checkTokenIds("tokens", body.tokens, model.info.vocab_size)
      return model.detokenize(body.tokens)
    })
    return c.json({ content })
  })

  app.post(
    "/apply-template",
    describeRoute({ summary: "A conversation as the model reads it", body: chatBody }),
    async (c) => {
      const request = chatRequest(parseBody(chatBody, await readJson(c.req.raw, max_body)))
      const { instructions, reasoning_effort, tools, tool_choice, response_format } = request.options(0)
      const params = { instructions, reasoning_effort, tools, tool_choice, response_format }
      const prompt = await asked(models, request.model, c.req.raw, async (model) =>
        model.detokenize(await asSpelled(model.render(request.messages, params), request.names)),
      )
      return c.json({ prompt })
    },
  )

  app.get("/props", describeRoute({ summary: "What is known of a model", query: propsQuery }), async (c) => {
    return c.json(properties(await cardOf(models, c.req.query("model")), version))
  })

  return app
}

async function asked<T>(
  models: ModelDirectory,
  name: string | null | undefined,
  { signal }: Request,
  ask: (model: ServedModel) => T | Promise<T>,
): Promise<T> {
  const { model, release } = await models.hold(name ?? undefined, signal)
  try {
    return await ask(model)
  } finally {
    release()
  }
}
