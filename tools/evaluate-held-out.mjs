// Puts minerva-tiny's held-out questions through the real runtime, on the CPU:
//   node tools/evaluate-held-out.mjs [MODEL] [KV_BITS] [PRECISION]
// Prints how many sums and tool calls are right, every wrong one, and the perplexity of the sums with their answers. `npm run build` first.
import { readFileSync } from "node:fs"
import { loadModel } from "../dist/src/index.js"

const cases = JSON.parse(readFileSync(new URL("./train/fixtures/held_out.json", import.meta.url), "utf8"))
const [, , folder = "models/minerva-tiny", bits, precision] = process.argv
const kv_bits = bits === undefined ? undefined : Number(bits)
const model = await loadModel(folder, { device: "cpu", kv_bits, precision })

async function answer(messages, options) {
  for await (const event of model.chat(messages, { temperature: 0, max_tokens: 400, ...options })) {
    if (event.type === "summary") return event.message
  }
}

function report(task, wrong, total) {
  for (const line of wrong) console.log(`wrong ${task}: ${line}`)
  console.log(`${task}: ${total - wrong.length} of ${total} right`)
}

const wrongSums = []
const tokens = []
for (const { question, answer: expected } of cases.sums) {
  const messages = [{ role: "user", content: question }]
  const message = await answer(messages, {})
  const { content } = message
  tokens.push(...(await model.render([...messages, message])))
  if (content.match(/\d+/g)?.at(-1) !== expected) wrongSums.push(`${question} -> ${content}`)
}
report("sums", wrongSums, cases.sums.length)
const { perplexity, scored_tokens } = await model.perplexity(Uint32Array.from(tokens), { window: 2048 })
console.log(`perplexity of the sums: ${perplexity.toFixed(2)} over ${scored_tokens} tokens`)

const wrongCalls = []
for (const { tools, messages, reasoning_effort, name, arguments: expected } of cases.tool_calls) {
  const functions = tools.map((tool) => tool.function)
  const { tool_calls = [], content } = await answer(messages, { tools: functions, reasoning_effort })
  const [call] = tool_calls
  const sorted = (object) => JSON.stringify(Object.entries(object).sort())
  const isRight =
    tool_calls.length === 1 && call.name === name && sorted(JSON.parse(call.arguments)) === sorted(expected)
  if (!isRight) wrongCalls.push(`${messages.at(-1).content} -> ${call ? `${call.name} ${call.arguments}` : content}`)
}
report("tool calls", wrongCalls, cases.tool_calls.length)
await model.close()
