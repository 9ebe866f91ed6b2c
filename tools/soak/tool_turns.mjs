// Turns with tools at temperature 1.5 on a running server: node tools/soak/tool_turns.mjs [URL] [TURNS]. Streams and whole answers of
// all protocols have to be well formed: no control token in a text, calls of offered tools alone, arguments that are JSON, and those of
// strict tools what their schema says.
import { Ajv2020 } from "ajv/dist/2020.js"

const url = process.argv[2] ?? "http://127.0.0.1:11435"
const turns = Number(process.argv[3] ?? 300)
const parameters = {
  type: "object",
  properties: {
    city: { type: "string" },
    days: { type: "integer", minimum: 1, maximum: 14 },
    unit: { enum: ["C", "F"] },
  },
  required: ["city", "days", "unit"],
  additionalProperties: false,
}
const validate = new Ajv2020().compile(parameters)
const names = ["get_weather", "python", "files.read-all", "note"]
const { data } = await (await fetch(`${url}/v1/models`)).json()
const model = data[0].id
const faults = []
const seen = { content: 0, calls: 0, strict: 0, length: 0 }

async function post(path, body) {
  const headers = { "content-type": "application/json", "anthropic-version": "2023-06-01" }
  const response = await fetch(url + path, {
    method: "POST",
    headers,
    body: JSON.stringify({ model, temperature: 1.5, ...body }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`)
  return JSON.parse(text)
}

const isStrict = (name) => name === "get_weather"
const tools = names.map((name) => ({ name, description: `Does ${name}`, parameters, strict: isStrict(name) }))
const choices = ["auto", "required", "none"]

/** Per protocol: asks, and gives back text, calls and whether it was cut off. */
const protocols = [
  async (content, choice, seed) => {
    const { choices } = await post("/v1/chat/completions", {
      messages: [{ role: "user", content }],
      tools: tools.map((each) => ({ type: "function", function: each })),
      tool_choice: choice,
      seed,
      max_tokens: 120,
    })
    const { message, finish_reason } = choices[0]
    const calls = (message.tool_calls ?? []).map((call) => ({
      name: call.function.name,
      text: call.function.arguments,
    }))
    return { text: message.content ?? "", reasoning: message.reasoning ?? "", calls, cut: finish_reason === "length" }
  },
  async (input, choice) => {
    const { output, status } = await post("/v1/responses", {
      input,
      tools: tools.map((each) => ({ type: "function", ...each })),
      tool_choice: choice,
      store: false,
      max_output_tokens: 120,
    })
    const texts = (type) =>
      output.filter((item) => item.type === type).flatMap(({ content }) => content.map(({ text }) => text))
    const calls = output
      .filter(({ type }) => type === "function_call")
      .map(({ name, arguments: text }) => ({ name, text }))
    return {
      text: texts("message").join(""),
      reasoning: texts("reasoning").join(""),
      calls,
      cut: status === "incomplete",
    }
  },
  async (content, choice) => {
    const { content: blocks, stop_reason } = await post("/v1/messages", {
      messages: [{ role: "user", content }],
      tools: tools.map(({ parameters, ...rest }) => ({ ...rest, input_schema: parameters })),
      tool_choice: { type: { auto: "auto", required: "any", none: "none" }[choice] },
      thinking: { type: "enabled", budget_tokens: 1024 },
      max_tokens: 120,
    })
    const texts = (type, field) => blocks.filter((block) => block.type === type).map((block) => block[field])
    const calls = blocks
      .filter(({ type }) => type === "tool_use")
      .map(({ name, input }) => ({ name, text: JSON.stringify(input) }))
    return {
      text: texts("text", "text").join(""),
      reasoning: texts("thinking", "thinking").join(""),
      calls,
      cut: stop_reason === "max_tokens",
    }
  },
]

function check({ text, reasoning, calls, cut }, choice) {
  const fault = (why) => faults.push(`${why}: ${JSON.stringify({ text, reasoning, calls, choice, cut }).slice(0, 600)}`)
  for (const each of [text, reasoning]) if (/<\|\w+\|>/.test(each)) fault("framing in a text")
  if (cut) seen.length++
  if (text) seen.content++
  if (choice === "none" && calls.length > 0) fault("a call that was not allowed")
  if (choice === "required" && calls.length === 0 && !cut) fault("no call though one was required")
  for (const [i, call] of calls.entries()) {
    seen.calls++
    if (!names.includes(call.name)) fault("a tool that nobody offered")
    if (cut && i === calls.length - 1) continue
    try {
      const value = JSON.parse(call.text)
      if (isStrict(call.name)) seen.strict++
      if (isStrict(call.name) && !validate(value))
        fault(`arguments against their schema: ${JSON.stringify(validate.errors)}`)
    } catch {
      fault("arguments that are no JSON")
    }
  }
}

let next = 0
async function client() {
  while (next < turns) {
    const i = next++
    const choice = choices[i % 3]
    try {
      check(await protocols[Math.floor(i / 3) % 3](`Turn ${i}: what is the weather in Oslo?`, choice, i), choice)
    } catch (error) {
      faults.push(error.message)
    }
  }
}
await Promise.all(Array.from({ length: 8 }, client))
for (const fault of faults.slice(0, 10)) console.error(fault)
console.log(`${turns} turns: ${JSON.stringify(seen)}, ${faults.length} faults`)
process.exit(faults.length > 0 ? 1 : 0)
