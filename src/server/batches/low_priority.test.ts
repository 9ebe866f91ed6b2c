import { expect, it } from "vitest"
import { directoryOf, scriptedModel } from "../../../test/server/scripted_model.js"
import type { ServedModel } from "../served_model.js"
import { lowPriority } from "./low_priority.js"

it("asks everything of a model that it could be asked, after the others", async () => {
  const model = scriptedModel(() => "<|channel|>final<|message|>Hi<|return|>")
  const asked: (number | undefined)[] = []
  const watched: ServedModel = {
    info: model.info,
    chat: (messages, options) => {
      asked.push(options.priority)
      return model.chat(messages, options)
    },
    generate: (prompt, options) => {
      asked.push(options.priority)
      return model.generate(prompt, options)
    },
    render: (messages, params) => model.render(messages, params),
    tokenize: (text, special) => model.tokenize(text, special),
    detokenize: (ids) => model.detokenize(ids),
    load: () => model.load(),
  }
  const { model: patient } = await lowPriority(directoryOf(watched)).hold(undefined)
  const messages = [{ role: "user", content: "Hello" }] as const
  let text = ""
  for await (const event of patient.chat(messages, { max_tokens: 50 })) if (event.type === "content") text += event.text
  expect(text).toBe("Hi")
  for await (const _ of patient.generate("Hello", { max_tokens: 1 }));
  expect(asked).toEqual([-1, -1])
  expect(patient.info).toEqual(model.info)
  expect(await patient.render(messages, {})).toEqual(await model.render(messages, {}))
  expect(await patient.detokenize(await patient.tokenize("<|end|>", true))).toBe("<|end|>")
})
