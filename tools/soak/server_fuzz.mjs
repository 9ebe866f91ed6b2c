// Damaged requests on a running server, over raw sockets: node tools/soak/server_fuzz.mjs [URL] [REQUESTS] [SEED]. No answer may be a 500,
// no connection may hang, and the server has to be alive in the end.
import { connect } from "node:net"

const url = new URL(process.argv[2] ?? "http://127.0.0.1:11435")
const total = Number(process.argv[3] ?? 20_000)
let state = Number(process.argv[4] ?? 1)
const random = () => {
  state = (state * 48271) % 2147483647
  return state / 2147483647
}
const below = (n) => Math.floor(random() * n)
const any = (list) => list[below(list.length)]

const tool = {
  type: "function",
  function: { name: "f", parameters: { type: "object", properties: { a: { type: "string" } } } },
}
const user = [{ role: "user", content: "What is 1 + 1?" }]
const requests = [
  ["/v1/chat/completions", { messages: user, max_tokens: 2 }],
  ["/v1/chat/completions", { messages: user, max_tokens: 2, stream: true, tools: [tool], tool_choice: "auto" }],
  [
    "/v1/chat/completions",
    {
      messages: user,
      max_tokens: 2,
      response_format: { type: "json_schema", json_schema: { name: "x", schema: tool.function.parameters } },
    },
  ],
  ["/v1/completions", { prompt: "Once", max_tokens: 2, logprobs: 2 }],
  ["/v1/responses", { input: "Hi", max_output_tokens: 2 }],
  [
    "/v1/responses",
    {
      input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "Hi" }] }],
      max_output_tokens: 2,
      stream: true,
    },
  ],
  ["/v1/messages", { model: "claude", messages: user, max_tokens: 2 }],
  [
    "/v1/messages",
    {
      model: "claude",
      messages: user,
      max_tokens: 2,
      stream: true,
      tools: [{ name: "f", input_schema: { type: "object" } }],
    },
  ],
  ["/v1/messages/count_tokens", { model: "claude", messages: user }],
  ["/api/chat", { messages: user, options: { num_predict: 2 } }],
  ["/api/generate", { prompt: "Hi", options: { num_predict: 2 }, stream: false }],
  ["/api/show", { model: "minerva-tiny" }],
  ["/tokenize", { content: "Hello" }],
  ["/detokenize", { tokens: [1, 2] }],
  ["/apply-template", { messages: user }],
  ["/v1/embeddings", { input: "x" }],
  ["/v1/batches", { input_file_id: "file-1", endpoint: "/v1/chat/completions", completion_window: "24h" }],
  ["/v1/files", {}],
]
const gets = [
  "/health",
  "/ready",
  "/metrics",
  "/v1/models",
  "/v1/models/x",
  "/api/tags",
  "/api/ps",
  "/props",
  "/openapi.json",
  "/v1/responses/resp_1",
  "/v1/batches",
  "/v1/files",
  "/nope",
  "/%ff",
  "/v1/../x",
  "//",
  "/v1/models/%00",
]
const values = [
  null,
  true,
  -1,
  0,
  1e308,
  2 ** 53,
  0.5,
  "",
  "x",
  "\ud800",
  "a".repeat(5000),
  [],
  {},
  [[]],
  [null],
  { __proto__: null, constructor: 1 },
  "NaN",
  -0,
  [{}],
  "\u0000",
]

function mutate(value) {
  if (random() < 0.15) return any(values)
  if (Array.isArray(value)) {
    const list = value.map((each) => (random() < 0.5 ? mutate(each) : each))
    if (random() < 0.2) list.push(any(values))
    return list
  }
  if (typeof value !== "object" || value === null) return random() < 0.3 ? any(values) : value
  const entries = Object.entries(value).flatMap(([key, each]) => {
    if (random() < 0.08) return []
    return [
      [random() < 0.05 ? any(["__proto__", "", "type", key.toUpperCase()]) : key, random() < 0.5 ? mutate(each) : each],
    ]
  })
  if (random() < 0.2)
    entries.push([
      any([
        "n",
        "stop",
        "seed",
        "logit_bias",
        "tools",
        "tool_choice",
        "reasoning_effort",
        "stream",
        "model",
        "temperature",
        "top_p",
        "logprobs",
        "metadata",
        "text",
        "include",
        "system",
        "format",
        "think",
      ]),
      any(values),
    ])
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${json(each)}`).join(",")}}`
}

/** `mutate` gives objects as text, so that keys may come twice. */
function json(value) {
  if (typeof value === "string" && value.startsWith("{")) return value
  if (Array.isArray(value)) return `[${value.map(json).join(",")}]`
  return JSON.stringify(value) ?? "null"
}

function bodyOf(body) {
  let text = random() < 0.2 ? JSON.stringify(body) : json(mutate(body))
  const damage = random()
  if (damage < 0.05) text = text.slice(0, below(text.length + 1))
  else if (damage < 0.1)
    text =
      text.slice(0, below(text.length)) +
      any(["\u0000", "}", '"', "[", "\\", "é", ","]) +
      text.slice(below(text.length))
  else if (damage < 0.12) text = `${"[".repeat(20_000)}`
  else if (damage < 0.13) text = ""
  return Buffer.from(text)
}

function requestText() {
  if (random() < 0.15) {
    const method = any(["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "TRACE", "FOO", "get"])
    return Buffer.from(`${method} ${any(gets)} HTTP/1.1\r\nhost: ${url.host}\r\n${headers()}\r\n`)
  }
  const [path, body] = any(requests)
  const bytes = bodyOf(body)
  const method = random() < 0.03 ? any(["GET", "PUT", "DELETE"]) : "POST"
  const type =
    random() < 0.05
      ? any(["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
      : "application/json"
  const head = `${method} ${path}${random() < 0.05 ? "?beta=true&x=%zz" : ""} HTTP/1.1\r\nhost: ${random() < 0.02 ? "evil.example" : url.host}\r\ncontent-type: ${type}\r\n${headers()}`
  if (random() < 0.15)
    return Buffer.concat([Buffer.from(`${head}transfer-encoding: chunked\r\n\r\n`), ...chunked(bytes)])
  const length = random() < 0.03 ? any([bytes.length + 10, Math.max(0, bytes.length - 3), 1e12, -1, "x"]) : bytes.length
  return Buffer.concat([Buffer.from(`${head}content-length: ${length}\r\n\r\n`), bytes])
}

function headers() {
  if (random() < 0.8) return ""
  return any([
    "authorization: Bearer \u00e9\r\n",
    "authorization:\r\n",
    "x-api-key: a\r\nx-api-key: b\r\n",
    `x-long: ${"a".repeat(any([100, 9000, 70000]))}\r\n`,
    "anthropic-version: 2023-06-01\r\n",
    "expect: 100-continue\r\n",
    "connection: close\r\n",
    "origin: http://evil.example\r\n",
    "bad header\r\n",
    "accept-encoding: gzip\r\n",
    "content-encoding: gzip\r\n",
  ])
}

function chunked(bytes) {
  const parts = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + below(60)
    const part = bytes.subarray(at, at + size)
    const said = random() < 0.01 ? any(["zz", "fffffffff", "-1", ""]) : part.length.toString(16)
    parts.push(Buffer.from(`${said}\r\n`), part, Buffer.from("\r\n"))
    at += size
  }
  if (random() < 0.97) parts.push(Buffer.from("0\r\n\r\n"))
  return parts
}

const statuses = {}
let hung = 0
let done = 0

/** One connection: a few requests behind each other, then the end. */
function connection() {
  return new Promise((resolve) => {
    const count = 1 + below(4)
    const socket = connect(Number(url.port), url.hostname)
    let answer = ""
    // Who says that more bytes follow is waited for: then the end of what there is has to do.
    const impatience = setTimeout(() => socket.end(), 5_000)
    const timer = setTimeout(() => {
      hung++
      console.error(`hung: ${JSON.stringify(text.toString("latin1").slice(0, 2000))} ${answer.slice(0, 500)}`)
      socket.destroy()
    }, 20_000)
    socket.setEncoding("latin1")
    socket.on("data", (text) => {
      answer += text
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      clearTimeout(timer)
      clearTimeout(impatience)
      done += count
      for (const [, status] of answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        statuses[status] = (statuses[status] ?? 0) + 1
        if (status === "500")
          console.error(`a 500: ${JSON.stringify(text.toString("latin1").slice(0, 2000))}\n${answer.slice(0, 500)}`)
      }
      resolve()
    })
    const text = Buffer.concat([
      ...Array.from({ length: count - 1 }, requestText),
      requestText(),
      Buffer.from(`GET /health HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n\r\n`),
    ])
    socket.write(text)
    if (random() < 0.05) setTimeout(() => socket.destroy(), below(50))
  })
}

async function client() {
  while (done < total) await connection()
}

const reports = setInterval(() => console.log(done, JSON.stringify(statuses), `${hung} hung`), 10_000)
await Promise.all(Array.from({ length: 24 }, client))
clearInterval(reports)
const health = await fetch(new URL("/health", url)).then(
  (response) => response.status,
  (error) => error.message,
)
const metrics = await (await fetch(new URL("/metrics", url))).text()
console.log(done, JSON.stringify(statuses), `${hung} hung, health says ${health}`)
console.log(
  metrics
    .split("\n")
    .filter((line) => /^[a-z_]*resident_memory_bytes/.test(line))
    .join(" "),
)
process.exit(health === 200 && hung === 0 && !statuses[500] ? 0 : 1)
