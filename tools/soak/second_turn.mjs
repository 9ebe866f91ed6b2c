// How long an agent's second turn waits, beside its first: node tools/soak/second_turn.mjs [URL] [TOKENS]. Each protocol's client sends
// everything again, with the answer and a tool's result at its end, as agents do.
const url = process.argv[2] ?? "http://127.0.0.1:11435"
const words = Math.floor(Number(process.argv[3] ?? 4000) / 2)

const { data } = await (await fetch(`${url}/v1/models`)).json()
const model = data[0].id
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
/** Different each time, so that nothing is known before the first turn. */
const instructions = (seed) =>
  `Session ${seed}. ${Array.from({ length: words }, (_, i) => (i * 7919 + seed * 31) % 97).join(" ")}`
const call = { id: "call_1", name: "get_weather", arguments: '{"city":"Oslo"}' }
const question = "What is the weather in Oslo?"
const tools = [{ name: "get_weather", description: "The weather", parameters }]

const protocols = {
  chat: {
    path: "/v1/chat/completions",
    first: (seed) => [
      { role: "system", content: instructions(seed) },
      { role: "user", content: question },
    ],
    second: [
      { role: "assistant", content: null, tool_calls: [{ id: call.id, type: "function", function: call }] },
      { role: "tool", tool_call_id: call.id, content: "-3" },
    ],
    body: (messages) => ({
      messages,
      max_completion_tokens: 16,
      tools: tools.map((each) => ({ type: "function", function: each })),
    }),
    isFirst: ({ choices }) => choices[0]?.delta.reasoning || choices[0]?.delta.content || choices[0]?.delta.tool_calls,
  },
  responses: {
    path: "/v1/responses",
    first: (seed) => [
      { role: "system", content: instructions(seed) },
      { role: "user", content: question },
    ],
    second: [
      { type: "function_call", call_id: call.id, name: call.name, arguments: call.arguments },
      { type: "function_call_output", call_id: call.id, output: "-3" },
    ],
    body: (input) => ({
      input,
      max_output_tokens: 16,
      store: false,
      tools: tools.map((each) => ({ type: "function", ...each })),
    }),
    isFirst: ({ type }) => /delta$/.test(type),
  },
  messages: {
    path: "/v1/messages",
    first: (seed) => [{ role: "user", content: `${instructions(seed)}\n\n${question}` }],
    second: [
      { role: "assistant", content: [{ type: "tool_use", id: call.id, name: call.name, input: { city: "Oslo" } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "-3" }] },
    ],
    body: (messages) => ({
      messages,
      max_tokens: 16,
      thinking: { type: "enabled", budget_tokens: 1024 },
      tools: tools.map(({ parameters, ...rest }) => ({ ...rest, input_schema: parameters })),
    }),
    isFirst: ({ type }) => type === "content_block_delta",
  },
}

/** Milliseconds to the first piece of the answer. */
async function firstPiece({ path, body, isFirst }, messages) {
  const start = performance.now()
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
    body: JSON.stringify({ model, stream: true, temperature: 0, ...body(messages) }),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  let first = 0
  let rest = ""
  const decoder = new TextDecoder()
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split("\n")
    rest = lines.pop()
    for (const line of lines) {
      if (first > 0 || !line.startsWith("data: {")) continue
      if (isFirst(JSON.parse(line.slice(6)))) first = performance.now() - start
    }
  }
  return first
}

const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]
let seed = Date.now() % 100_000
for (const [name, protocol] of Object.entries(protocols)) {
  const firsts = []
  const seconds = []
  for (let run = 0; run < 5; run++) {
    const messages = protocol.first(seed++)
    firsts.push(await firstPiece(protocol, messages))
    seconds.push(await firstPiece(protocol, [...messages, ...protocol.second]))
  }
  const [first, second] = [median(firsts), median(seconds)]
  console.log(
    `${name}: first ${first.toFixed(0)} ms, second ${second.toFixed(0)} ms, ${((100 * second) / first).toFixed(1)} %`,
  )
}
