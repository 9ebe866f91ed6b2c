// 200 clients at once on a running server: node tools/soak/server_load.mjs [URL] [SECONDS] [CLIENTS]. Every stream has to be what the
// same request answered alone, whichever protocol asks, while others leave early or read slowly; refusals have to be well formed.
import { setTimeout as sleep } from "node:timers/promises"

const url = process.argv[2] ?? "http://127.0.0.1:11435"
const seconds = Number(process.argv[3] ?? 300)
const CLIENTS = Number(process.argv[4] ?? 200)
const questions = Array.from({ length: 12 }, (_, i) => `${"Please. ".repeat(i * i)}What is ${17 + i} + ${25 + 3 * i}?`)

const post = (path, body, signal) =>
  fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
    body: JSON.stringify(body),
    signal,
  })

/** Per protocol: the request, what an unstreamed answer says, and what a piece of a stream adds. */
const protocols = {
  chat: {
    path: "/v1/chat/completions",
    body: (content) => ({ messages: [{ role: "user", content }], temperature: 0, max_tokens: 48 }),
    whole: ({ choices: [{ message }] }) => (message.reasoning ?? "") + (message.content ?? ""),
    piece: ({ choices }) => (choices[0]?.delta.reasoning ?? "") + (choices[0]?.delta.content ?? ""),
  },
  responses: {
    path: "/v1/responses",
    body: (input) => ({ input, temperature: 0, max_output_tokens: 48, store: false }),
    whole: ({ output }) =>
      output
        .flatMap(({ content }) => content ?? [])
        .map(({ text }) => text)
        .join(""),
    piece: ({ type, delta }) => (/^response\.(reasoning_text|output_text)\.delta$/.test(type) ? delta : ""),
  },
  messages: {
    path: "/v1/messages",
    body: (content) => ({
      model: "claude-load",
      messages: [{ role: "user", content }],
      temperature: 0,
      max_tokens: 48,
      thinking: { type: "enabled", budget_tokens: 1024 },
    }),
    whole: ({ content }) => content.map(({ text, thinking }) => text ?? thinking ?? "").join(""),
    piece: ({ delta }) => delta?.text ?? delta?.thinking ?? "",
  },
  ollama: {
    path: "/api/chat",
    body: (content) => ({
      messages: [{ role: "user", content }],
      think: true,
      options: { temperature: 0, num_predict: 48 },
    }),
    whole: ({ message }) => (message.thinking ?? "") + message.content,
    piece: ({ message }) => (message?.thinking ?? "") + (message?.content ?? ""),
  },
}

const { data } = await (await fetch(`${url}/v1/models`)).json()
const model = data[0].id
const requestOf = (protocol, question, stream) => ({ model, ...protocols[protocol].body(question), stream })

const solo = {}
for (const protocol of Object.keys(protocols)) {
  solo[protocol] = []
  for (const question of questions) {
    const response = await post(protocols[protocol].path, requestOf(protocol, question, false))
    if (!response.ok) throw new Error(`${protocol}: ${response.status} ${await response.text()}`)
    solo[protocol].push(protocols[protocol].whole(await response.json()))
  }
}

const counts = { equal: 0, left: 0, refused: 0 }
const faults = []
const fault = (text) => {
  faults.push(text)
  if (faults.length <= 10) console.error(text)
}

async function ask(random) {
  const protocol = Object.keys(protocols)[Math.floor(random() * 4)]
  const at = Math.floor(random() * questions.length)
  const leaves = random() < 0.15 ? Math.floor(random() * 40) : Number.POSITIVE_INFINITY
  const pause = random() < 0.1 ? 100 : 0
  const controller = new AbortController()
  const response = await post(protocols[protocol].path, requestOf(protocol, questions[at], true), controller.signal)
  if (!response.ok) {
    const body = await response.json().catch(() => null)
    const isFine = [429, 503, 529].includes(response.status) && body?.error && response.headers.get("retry-after")
    if (!isFine) fault(`${protocol}: refused with ${response.status} ${JSON.stringify(body)}`)
    counts.refused++
    await sleep(200)
    return
  }
  let text = ""
  let rest = ""
  let pieces = 0
  const decoder = new TextDecoder()
  for await (const chunk of response.body) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split("\n")
    rest = lines.pop()
    for (const line of lines) {
      const json = protocol === "ollama" ? line : line.startsWith("data: ") ? line.slice(6) : ""
      if (json === "" || json === "[DONE]") continue
      const event = JSON.parse(json)
      if (event.error || event.type === "error") fault(`${protocol}: ${json}`)
      text += protocols[protocol].piece(event)
      pieces++
    }
    if (pieces > leaves) {
      controller.abort()
      counts.left++
      return
    }
    if (pause) await sleep(pause)
  }
  if (text === solo[protocol][at]) counts.equal++
  else fault(`${protocol}: ${JSON.stringify(text)} is not ${JSON.stringify(solo[protocol][at])}`)
}

const end = Date.now() + seconds * 1000
async function client(seed) {
  let state = seed + 1
  const random = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  while (Date.now() < end) {
    await ask(random).catch((error) => {
      if (error.name !== "AbortError") fault(`${error.name}: ${error.message} ${error.cause ?? ""}`)
    })
  }
}

async function report() {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const lines = metrics.split("\n").filter((line) => /^[a-z_]*resident_memory_bytes/.test(line))
  console.log(JSON.stringify(counts), `${faults.length} faults`, lines.join(" "))
}

const reports = setInterval(report, (seconds * 1000) / 10)
await Promise.all(Array.from({ length: CLIENTS }, (_, seed) => client(seed)))
clearInterval(reports)
await report()
process.exit(faults.length > 0 ? 1 : 0)
