// How soon /health answers while a running server reads a long prompt of token ids: node tools/soak/health.mjs [URL] [TOKENS] [SECONDS].
import { setTimeout as sleep } from "node:timers/promises"

const url = process.argv[2] ?? "http://127.0.0.1:11435"
const tokens = Number(process.argv[3] ?? 20_000)
const seconds = Number(process.argv[4] ?? 15)

const { data } = await (await fetch(`${url}/v1/models`)).json()
const leaving = new AbortController()
const prompt = Array.from({ length: tokens }, (_, i) => (i * 7919) % 4000)
const body = JSON.stringify({ model: data[0].id, prompt, max_tokens: 1, stream: true })
// Kept: a response that nobody holds is given up, and the prompt with it.
const reading = fetch(`${url}/v1/completions`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body,
  signal: leaving.signal,
})
await sleep(1500)
const times = []
for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(20)) {
  const start = performance.now()
  await (await fetch(`${url}/health`)).text()
  times.push(performance.now() - start)
}
const metrics = await (await fetch(`${url}/metrics`)).text()
if (!/^minerva_requests_running\{[^}]*\} 1$/m.test(metrics))
  throw new Error("the prompt was read before the end: take a longer one")
leaving.abort()
await reading.catch(() => {})
times.sort((a, b) => a - b)
const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(1)
console.log(`${times.length} answers: median ${at(0.5)} ms, 99 % within ${at(0.99)} ms, worst ${at(1)} ms`)
process.exit(0)
