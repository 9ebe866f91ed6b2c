import { ModelSession } from "../../src/engine/model_session.js"
import { Session } from "../../src/engine/session.js"
import { LocalModel } from "../../src/server/local_model.js"
import { RequestError } from "../../src/server/request_error.js"
import type { ModelDirectory, ServedModel } from "../../src/server/served_model.js"
import { harmonyFormat } from "../../src/text/harmony_chat.js"
import { AnsweringRunner } from "../engine/fake_runner.js"
import { byteTokenizer, encodeHarmony } from "../text/byte_tokenizer.js"
import type { ChatFormat } from "../../src/text/messages.js"

/**
 * A model that says what `answer` makes of the prompt's text, both in harmony as it is spelled, such as
 * `<|channel|>final<|message|>Hi<|return|>`. A token is a byte.
 */
export function scriptedModel(answer: (prompt: string) => string, name = "scripted", max_context = 4096): ServedModel {
  const text = byteTokenizer()
  const runner = new AnsweringRunner(
    (prompt) => encodeHarmony(text, answer(text.decode(Array.from(prompt)))),
    max_context,
  )
  const stopTokens = new Set(["<|return|>", "<|call|>", "<|endoftext|>"].map((end) => text.specialToken(end)))
  // What is scripted is said, whatever a constraint would hold it to.
  const format: ChatFormat = { ...harmonyFormat(text, { current_date: "2026-11-28" }), constraint: undefined }
  const language = { text, format }
  const session = new ModelSession(new Session(runner, runner.max_context), { name, language, stopTokens })
  return new LocalModel({
    info: {
      name,
      model_type: "gpt_oss",
      backend: "reference",
      load_ms: 1,
      weight_bytes: 1000,
      weight_bytes_per_token: 100,
      cache_bytes_per_token: () => 10,
      layers: 2,
      vocab_size: runner.vocab_size,
      max_context: runner.max_context,
      chats: true,
    },
    text,
    chat: (messages, options) => session.chat(messages, options),
    generate: (prompt, options) => session.generate(prompt, options),
    render: (messages, params) => session.render(messages, params),
    load: { running: 0, waiting: 0, pages: 8, free_pages: 8, asked_tokens: 0, hit_tokens: 0 },
  })
}

/** Offers these, all of them loaded. */
export function directoryOf(...models: readonly ServedModel[]): ModelDirectory {
  return {
    list: async () =>
      models.map(({ info: { name, weight_bytes, max_context, model_type } }) => ({
        name,
        created: 1_700_000_000,
        bytes: weight_bytes,
        quantization: "mxfp4",
        max_context,
        model_type,
        loaded: true,
      })),
    loads: async () => new Map(),
    hold: async (name = models[0].info.name) => {
      const model = models.find(({ info }) => info.name === name)
      if (model) return { model, release: () => {} }
      throw new RequestError("not_found", `no model is named ${name}`, { param: "model", code: "model_not_found" })
    },
  }
}
