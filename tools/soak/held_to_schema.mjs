// What a JSON schema costs eight answers that are written together: node tools/soak/held_to_schema.mjs [MODEL] [ROUNDS]. A step of eight
// rows in milliseconds, free and held, in turn; no answer may end meanwhile. `npm run build` first.
import { loadModel } from "../../dist/src/index.js"

const ROWS = 8
/** Tokens of an answer: by the first few, all rows decode. */
const TOKENS = 48
const FIRST = 4
const rounds = Number(process.argv[3] ?? 5)
const options = { device: "cpu", max_context: 512, max_sequences: ROWS, kv_memory: 500e6 }
const model = await loadModel(process.argv[2] ?? "models/minerva-tiny", options)
const item = {
  type: "object",
  properties: { name: { type: "string" }, n: { type: "integer" } },
  required: ["name", "n"],
  additionalProperties: false,
}
const schema = { type: "array", items: item, minItems: 300 }
const ends = ["<|return|>", "<|end|>", "<|call|>"].map((end) => [model.text.idOf(end), -100])
const free = { logit_bias: Object.fromEntries(ends) }
const held = { response_format: { type: "json_schema", name: "items", schema } }

async function answer(seed, options) {
  const messages = [{ role: "user", content: `Write a long list about ${seed}.` }]
  const times = []
  for await (const event of model.chat(messages, { seed, max_tokens: TOKENS, reasoning_effort: "none", ...options })) {
    if (event.type === "token") times.push(performance.now())
  }
  return times
}

/** Milliseconds of a step. */
async function step(options) {
  const rows = await Promise.all(Array.from({ length: ROWS }, (_, seed) => answer(seed, options)))
  if (rows.some((times) => times.length < TOKENS)) throw new Error("an answer ended early")
  const from = Math.max(...rows.map((times) => times[FIRST]))
  const to = Math.min(...rows.map((times) => times[TOKENS - 1]))
  return (to - from) / (TOKENS - 1 - FIRST)
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
for (const way of [free, held]) await step(way)
const times = { free: [], held: [] }
for (let round = 0; round < rounds; round++) {
  times.free.push(await step(free))
  times.held.push(await step(held))
}
const ratios = times.held.map((time, i) => time / times.free[i])
const list = (values) => values.map((value) => value.toFixed(2)).join(", ")
console.log(`a step of ${ROWS}, ms: free ${list(times.free)}; held ${list(times.held)}`)
console.log(
  `held over free: ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)})`,
)
await model.close()
