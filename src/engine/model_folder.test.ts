import { afterEach, describe, expect, it, vi } from "vitest"
import { CheckpointError } from "../checkpoint/errors.js"
import type { ChatMessage } from "./chat_messages.js"
import { TokenizerError } from "../text/tokenizer_error.js"
import { ParameterError } from "./errors.js"
import type { GenerateOptions } from "./generate.js"
import type { LanguageModel } from "./model.js"
import { modelFolder, tinyJson } from "../../test/engine/model_folder.js"
import { openBackend } from "./node_backend.js"
import { loadModel } from "./node_model.js"
import { score } from "./score.js"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function load(files: Readonly<Record<string, unknown>> = {}, device: "cpu" | "reference" = "cpu") {
  const { path, remove } = modelFolder(files)
  closing.push(remove)
  const model = await loadModel(path, { device, threads: 1 })
  closing.unshift(() => model.close())
  return model
}

const question: ChatMessage[] = [{ role: "user", content: "What is 17 + 25?" }]
const always = (id: number) => ({ [id]: 100 })

async function generated(model: LanguageModel, options: GenerateOptions, prompt: string | number[] = "Once") {
  const texts: string[] = []
  for await (const event of model.generate(prompt, { temperature: 0, max_tokens: 3, ...options })) {
    if (event.type === "summary") return { ...event, text: texts.join("") }
    texts.push(event.text)
  }
  throw new Error("no summary")
}

async function chatted(model: LanguageModel, options: GenerateOptions) {
  for await (const event of model.chat(question, { temperature: 0, max_tokens: 3, ...options })) {
    if (event.type === "summary") return event
  }
  throw new Error("no summary")
}

const [RETURN, ENDOFTEXT, CALL, END] = [3065, 3064, 3071, 3069]

/** minerva-tiny's tokenizer with changes to its added tokens. */
function tokenizer(edit: (added: Record<string, unknown>[], json: ReturnType<typeof tinyJson>) => void) {
  const json = tinyJson("tokenizer.json")
  edit(json.added_tokens, json)
  return json
}

const withoutHarmony = () => tokenizer((added) => added.splice(2))

describe("the end of a turn", () => {
  it("is any of config.json's, generation_config.json's and the format's own", async () => {
    const config = { ...tinyJson("config.json"), eos_token_id: [40, 41] }
    const model = await load({ "config.json": config, "generation_config.json": { eos_token_id: [41, 50] } })
    for (const id of [40, 41, 50, RETURN, ENDOFTEXT, CALL]) {
      const ended = { finish_reason: "stop", completion_tokens: 1 }
      expect(await generated(model, { logit_bias: always(id) }), `${id}`).toMatchObject({ ...ended, text: "" })
      const { message, ...summary } = await chatted(model, { logit_bias: always(id) })
      expect(summary, `${id}`).toMatchObject(ended)
      expect(message, `${id}`).toEqual({ role: "assistant", content: "" })
    }
    expect(await generated(model, { logit_bias: always(42) })).toMatchObject({ finish_reason: "length", text: "KKK" })
  })

  it.each([7, [7], [-1, 7, 7], null, [], -1, undefined])("reads eos_token_id %j", async (eos_token_id) => {
    const model = await load({ "generation_config.json": { eos_token_id } })
    const { completion_tokens } = await generated(model, { logit_bias: always(7) })
    expect(completion_tokens).toBe([eos_token_id].flat().includes(7) ? 1 : 3)
  })

  it("needs no generation_config.json and no tokenizer.json", async () => {
    const model = await load({ "generation_config.json": null, "tokenizer.json": null })
    expect(await generated(model, { logit_bias: always(RETURN) }, [1, 2])).toMatchObject({ completion_tokens: 1 })
    expect(await generated(model, { logit_bias: always(CALL) }, [1, 2])).toMatchObject({ completion_tokens: 3 })
  })

  it.each<unknown>(["<note>", { __type: "AddedToken", content: "<note>", special: true }])(
    "is tokenizer_config.json's eos_token too: %j",
    async (eos_token) => {
      const NOTE = 3000
      const json = tokenizer((added, { model }) => {
        const [name] = Object.entries(model.vocab).find(([, id]) => id === NOTE)!
        delete model.vocab[name]
        model.merges = model.merges.filter(
          (merge: string | string[]) => [merge].flat().join("").replace(" ", "") !== name,
        )
        added.push({ id: NOTE, content: "<note>", special: false })
      })
      const config = { ...tinyJson("tokenizer_config.json"), eos_token }
      const model = await load({ "tokenizer.json": json, "tokenizer_config.json": config })
      const ended = { finish_reason: "stop", completion_tokens: 1 }
      expect(await generated(model, { logit_bias: always(NOTE) })).toMatchObject({ ...ended, text: "" })
      expect(await chatted(model, { logit_bias: always(NOTE) })).toMatchObject({ ...ended, message: { content: "" } })
    },
  )

  it("can be a special token named as a stop string", async () => {
    const model = await load()
    expect(await generated(model, { logit_bias: always(END) })).toMatchObject({ finish_reason: "length", text: "" })
    const stopped = await generated(model, { logit_bias: always(END), stop: ["x", "<|end|>"] })
    expect(stopped).toMatchObject({ finish_reason: "stop", completion_tokens: 1, text: "" })
  })
})

describe("generation_config.json's sampling", () => {
  /** Whether two seeds give the same, which they do where nothing is left to chance. */
  async function isGreedy(model: LanguageModel, options: GenerateOptions = {}) {
    const texts = new Set<string>()
    for (const seed of [1, 2, 3]) {
      texts.add((await generated(model, { temperature: undefined, max_tokens: 8, seed, ...options })).text)
    }
    return texts.size === 1
  }

  it.each<[object | null, object, boolean]>([
    [null, {}, false],
    [{}, {}, false],
    [{ do_sample: true }, {}, false],
    [{ do_sample: false }, { temperature: 0 }, true],
    [{ do_sample: false, temperature: 0.7, top_k: 5 }, { temperature: 0 }, true],
    [{ temperature: 0 }, { temperature: 0 }, true],
    [{ temperature: 1.5, top_k: null }, { temperature: 1.5 }, false],
    [{ do_sample: true, top_k: -1 }, { top_k: 0 }, false],
    [{ do_sample: true, top_k: 1, top_p: 0.9 }, { top_k: 1, top_p: 0.9 }, true],
  ])("%j is the default %j", async (json, sampling, greedy) => {
    const model = await load({ "generation_config.json": json })
    expect(model.sampling).toEqual(sampling)
    expect(await isGreedy(model)).toBe(greedy)
    expect(await isGreedy(model, { temperature: 0 }), "what the caller says counts").toBe(true)
    expect(await isGreedy(model, { temperature: 1.9, top_k: 0, top_p: 1 })).toBe(false)
  })
})

describe("a damaged generation_config.json", () => {
  it.each<[unknown, string]>([
    ["{", "not valid JSON"],
    ["[]", "expected object"],
    ["null", "expected object"],
    [{ eos_token_id: 3072 }, "eos_token_id"],
    [{ eos_token_id: [2, 99999] }, "99999"],
    [{ eos_token_id: -2 }, "eos_token_id"],
    [{ eos_token_id: "2" }, "eos_token_id"],
    [{ eos_token_id: [[2]] }, "eos_token_id"],
    [{ eos_token_id: 1.5 }, "eos_token_id"],
    [{ temperature: "hot" }, "temperature"],
    [{ temperature: -1 }, "temperature"],
    ['{ "temperature": 1e999 }', "temperature"],
    [{ top_k: 0.5 }, "top_k"],
    [{ top_p: 1.5 }, "top_p"],
    [{ do_sample: "no" }, "do_sample"],
  ])("%j names the file and the field", async (json, words) => {
    const error = await load({ "generation_config.json": json }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as Error).message).toContain("generation_config.json")
    expect((error as Error).message).toContain(words)
  })
})

describe("a folder without harmony", () => {
  it("continues text, and chat says what is missing", async () => {
    const model = await load({ "tokenizer.json": withoutHarmony() })
    expect((await generated(model, { logit_bias: always(42) })).text).toBe("KKK")
    expect(await generated(model, { logit_bias: always(ENDOFTEXT) })).toMatchObject({ finish_reason: "stop" })
    await expect(model.chat(question).next()).rejects.toThrow(TokenizerError)
    await expect(model.chat(question).next()).rejects.toThrow(
      /tokenizer.json.*<\|start\|>, <\|message\|>.*<\|call\|>.*--raw/,
    )
    const tokens = Uint32Array.from(model.text.encode("Once upon a time"))
    expect((await model.perplexity(tokens, { window: 16 })).nll).toBeGreaterThan(0)
  })

  it("without any tokenizer takes token ids", async () => {
    const model = await load({ "tokenizer.json": null })
    expect(await generated(model, {}, [1, 2, 3])).toMatchObject({ completion_tokens: 3, text: "" })
    expect((await model.perplexity(Uint32Array.of(1, 2, 3), { window: 16 })).nll).toBeGreaterThan(0)
    await expect(model.chat(question).next()).rejects.toThrow(TokenizerError)
    await expect(model.chat(question).next()).rejects.toThrow("tokenizer.json")
    await expect(model.generate("text").next()).rejects.toThrow(TokenizerError)
    await expect(model.generate([1], { stop: "x" }).next()).rejects.toThrow(TokenizerError)
  })

  it.each([
    [
      "names what is wrong with a tokenizer",
      { ...tinyJson("tokenizer.json"), decoder: null },
      TokenizerError,
      /decoder/,
    ],
    ["tells an unfinished download", '{"model": {"vocab": {"a": 0', CheckpointError, /not valid JSON/],
    ["tells an empty file", "", CheckpointError, /empty/],
    ["tells a page that is no tokenizer", "<!DOCTYPE html><html>", CheckpointError, /tokenizer.json/],
  ])("%s, whatever becomes of the weights, which are read meanwhile", async (_, contents, kind, message) => {
    const { path, remove } = modelFolder({ "tokenizer.json": contents })
    closing.push(remove)
    const loading = loadModel(path, { device: "cpu", threads: 1 })
    await expect(loading).rejects.toThrow(kind)
    await expect(loading).rejects.toThrow(message)
    // Who asks for no text does not read it.
    const model = await loadModel(path, { device: "cpu", threads: 1, text: false })
    closing.unshift(() => model.close())
    expect(await generated(model, {}, [1, 2, 3])).toMatchObject({ completion_tokens: 3, text: "" })
  })

  it("stops reading weights for a tokenizer that cannot be read", async () => {
    const { path, remove } = modelFolder({ "tokenizer.json": 5 })
    const { backend } = await openBackend({ device: "reference" })
    closing.push(remove, () => backend.close())
    const compiled = vi.spyOn(backend, "compile")
    await expect(loadModel(path, { backend })).rejects.toThrow(TokenizerError)
    expect(compiled.mock.calls.map(([, options]) => options?.signal?.aborted)).toEqual([true])
  })

  it("names the one token that is missing", async () => {
    const json = tokenizer((added) =>
      added.splice(
        added.findIndex(({ content }) => content === "<|channel|>"),
        1,
      ),
    )
    const model = await load({ "tokenizer.json": json })
    await expect(model.chat(question).next()).rejects.toThrow(/no <\|channel\|>;/)
  })
})

describe("added tokens", () => {
  const NOTE = 3070 + 1
  const note = (special: boolean | undefined) =>
    tokenizer((added) => {
      // <|call|> makes room: the model has no logits for more.
      added.splice(-1, 1, { ...added[0], id: NOTE, content: "[note]", special })
    })

  it.each([true, false, undefined])("with special: %j", async (special) => {
    const model = await load({ "tokenizer.json": note(special), "generation_config.json": null })
    const { text } = await generated(model, { logit_bias: always(NOTE) })
    expect(text).toBe(special ? "" : "[note][note][note]")
    expect(model.text.encode("a [note]").includes(NOTE)).toBe(!special)
  })
})

describe.each(["cpu", "reference"] as const)("ids beyond the vocabulary on %s", (device) => {
  it("are one error everywhere", async () => {
    const wide = tokenizer((added) => added.push({ ...added[0], id: 5000, content: "[wide]", special: false }))
    const model = await load({ "tokenizer.json": wide }, device)
    const tokens = Uint32Array.of(1, 3072)
    const attempts: Record<string, () => Promise<unknown>> = {
      "prompt.1": () => generated(model, {}, [1, 3072]),
      "prompt.0": () => generated(model, {}, "[wide]"),
      "prompt.": () =>
        chatted({ chat: (_, o) => model.chat([{ role: "user", content: "[wide]" }], o) } as LanguageModel, {}),
      "logit_bias.3072": () => generated(model, { logit_bias: { 3072: 1 } }),
      "tokens.1": () => model.perplexity(tokens, { window: 8 }),
      "tokens.1:": async () => {
        for await (const _ of score(model.scheduler, tokens));
      },
    }
    for (const [field, attempt] of Object.entries(attempts)) {
      const error = await attempt().catch((error: unknown) => error)
      expect(error, field).toBeInstanceOf(ParameterError)
      expect((error as Error).message).toMatch(field)
      expect((error as Error).message).toMatch(/a token id from 0 to 3071 \(vocab_size is 3072.*found (3072|5000)$/)
    }
    expect((await generated(model, {}, [1, 3071])).completion_tokens).toBe(3)
  })
})
