import { expect, it } from "vitest"
import { MarkovRunner } from "../../test/engine/markov_runner.js"
import { perplexity } from "./perplexity.js"
import { Session } from "./session.js"

/** By definition: softmax of each prefix's last logits, one token at a time. */
async function slowly(tokens: number[], window: number): Promise<number> {
  let sum = 0
  let count = 0
  for (let start = 0; start < tokens.length; start += window) {
    const part = tokens.slice(start, start + window)
    for (let n = 1; n < part.length; n++) {
      const logits = await new MarkovRunner(8).forward(Uint32Array.from(part.slice(0, n)))
      const total = logits.reduce((a, l) => a + Math.exp(l), 0)
      sum -= Math.log(Math.exp(logits[part[n]]) / total)
      count++
    }
  }
  return sum / count
}

it.each([2, 3, 7, 20])("windows of %i tokens", async (window) => {
  const tokens = [1, 5, 2, 7, 7, 0, 3, 4, 1, 1, 6, 2, 5]
  const result = await perplexity(new Session(new MarkovRunner(8)), Uint32Array.from(tokens), { window })
  expect(result.nll).toBeCloseTo(await slowly(tokens, window), 5)
  expect(result.perplexity).toBeCloseTo(Math.exp(result.nll), 10)
})

it("refuses what has nothing to predict", async () => {
  await expect(perplexity(new Session(new MarkovRunner()), Uint32Array.of(1), { window: 8 })).rejects.toThrow(
    "text: expected at least two",
  )
  await expect(perplexity(new Session(new MarkovRunner()), Uint32Array.of(1, 2), { window: 1 })).rejects.toThrow(
    "window: expected",
  )
})
