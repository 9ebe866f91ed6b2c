import { afterAll, beforeAll, expect, it } from "vitest"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { openFixture } from "../../test/models/fixtures.js"
import { generated, schedulerOf } from "../../test/engine/scheduling.js"
import { perplexity } from "./perplexity.js"
import { score } from "./score.js"

const backend = new ReferenceBackend()
const TOKENS = [1, 5, 2, 7, 7, 0, 3, 4, 1, 1, 6, 2, 5]
let fixture: Awaited<ReturnType<typeof openFixture>>
let setup: ReturnType<typeof schedulerOf>
beforeAll(async () => {
  fixture = await openFixture("three-of-ten", "hf")
  setup = schedulerOf(fixture.model, backend, { max_context: 64, sequences: 3 })
})
afterAll(async () => {
  await setup.close()
  await fixture.checkpoint.close()
})

/** By definition: softmax of each prefix's last logits, which are computed for it alone. */
async function slowly(tokens: number[], window: number): Promise<number> {
  const { vocab_size } = fixture.model.config
  let sum = 0
  let count = 0
  for (let start = 0; start < tokens.length; start += window) {
    const part = tokens.slice(start, start + window)
    for (let n = 1; n < part.length; n++) {
      let logits = new Float32Array()
      for await (const rows of score(setup.scheduler, part.slice(0, n))) logits = rows.slice(-vocab_size)
      const total = logits.reduce((a, l) => a + Math.exp(l), 0)
      sum -= Math.log(Math.exp(logits[part[n]]) / total)
      count++
    }
  }
  return sum / count
}

it.each([2, 3, 7, 20])("windows of %i tokens", async (window) => {
  const result = await perplexity(setup.scheduler, Uint32Array.from(TOKENS), { window })
  expect(result.nll).toBeCloseTo(await slowly(TOKENS, window), 5)
  expect(result.perplexity).toBeCloseTo(Math.exp(result.nll), 10)
})

it("is computed between the steps of answers, changes none of them, and leaves nothing behind", async () => {
  const { scheduler, store } = setup
  const ask = () => generated(scheduler, [1, 5, 2], { temperature: 0, max_tokens: 20 })
  const [alone, answer] = [await perplexity(scheduler, TOKENS), await ask()]
  store.clear()
  const [beside, ...answers] = await Promise.all([perplexity(scheduler, TOKENS), ask(), ask()])
  expect(beside).toEqual(alone)
  for (const { tokens } of answers) expect(tokens).toEqual(answer.tokens)
  const seen: [number, number][] = []
  store.clear()
  await perplexity(scheduler, TOKENS, { window: 7, onProgress: (...at) => void seen.push(at) })
  expect(store.stats()).toMatchObject({ used: 0, cached: 0 })
  expect(seen.at(-1)).toEqual([12, 13])
})

it("stops with the signal's reason, and gives its pages back", async () => {
  const stop = new AbortController()
  const reason = new Error("enough")
  const options = { window: 3, signal: stop.signal, onProgress: () => stop.abort(reason) }
  await expect(perplexity(setup.scheduler, TOKENS, options)).rejects.toBe(reason)
  expect(setup.store.stats().used).toBe(0)
})

it("refuses what has nothing to predict, and windows that do not fit", async () => {
  const { scheduler } = setup
  await expect(perplexity(scheduler, Uint32Array.of(1), { window: 8 })).rejects.toThrow("text: expected at least two")
  for (const window of [1, 65]) {
    await expect(perplexity(scheduler, Uint32Array.of(1, 2), { window })).rejects.toThrow("window: expected")
  }
})
