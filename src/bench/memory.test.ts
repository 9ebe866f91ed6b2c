import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import type { LanguageModel } from "../engine/model.js"
import { openBackend } from "../engine/node_backend.js"
import { loadModel } from "../engine/node_model.js"
import type { SequenceRequest } from "../engine/sequence.js"
import { benchMemory, longestConversation, REQUESTS_AT_ONCE } from "./memory.js"
import { promptOf } from "./prompt.js"

const fixture = fileURLToPath(new URL("../../../test/models/fixtures/three-of-ten/hf", import.meta.url))
const options = { conversations: 2, turns: 2, prompt_length: 66, tokens: 3, rounds: 2 }

let backend: Backend
let model: LanguageModel
beforeEach(async () => {
  backend = (await openBackend({ device: "cpu", threads: 1 })).backend
  const sequences = options.conversations * REQUESTS_AT_ONCE
  model = await loadModel(fixture, { backend, max_context: longestConversation(options), sequences })
})
afterEach(async () => {
  await model.close()
  await backend.close()
})

it("runs conversations that share, fork and are left, and finds that nothing stays but what is cached", async () => {
  const requests: SequenceRequest[] = []
  const { scheduler, store } = model
  const submit = (request: SequenceRequest) => {
    requests.push(request)
    return scheduler.submit(request)
  }
  const watched = { scheduler: { vocab_size: scheduler.vocab_size, submit }, store } as unknown as LanguageModel
  const { before, rounds } = await benchMemory(watched, options)
  // A round to warm up, and two: each of two conversations asks twice, three times the same.
  expect(requests).toHaveLength(3 * 2 * 2 * REQUESTS_AT_ONCE)
  const longest = Math.max(...requests.map(({ prompt, max_tokens }) => prompt.length + max_tokens))
  expect(longest).toBe(longestConversation(options))
  const beginnings = requests.map(({ prompt }) => Array.from(prompt).slice(0, options.prompt_length).join())
  expect(new Set(beginnings).size).toBe(1)
  expect(rounds).toHaveLength(2)
  for (const { pages, resident, most_used, most_shared, copies, bytes_copied } of rounds) {
    expect(pages.used).toBe(0)
    expect(pages.cached + pages.free).toBe(store.pages)
    expect(most_shared).toBeGreaterThan(0)
    expect(most_used).toBeGreaterThan(most_shared)
    expect(resident).toEqual(before.resident)
    expect(resident.cpu).toBeGreaterThan(0)
    expect(copies).toBeGreaterThan(0)
    expect(bytes_copied).toBeGreaterThanOrEqual(4 * copies)
  }
})

it("shows a page that somebody forgot", async () => {
  let round = 0
  const forget = () => {
    if (++round === 1) model.store.open(promptOf(0, options.prompt_length, model.scheduler.vocab_size))
  }
  const { rounds } = await benchMemory(model, { ...options, onProgress: forget })
  expect(rounds[0].pages.used).toBe(0)
  expect(rounds[1].pages.used).toBeGreaterThan(0)
})
