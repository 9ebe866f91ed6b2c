import { describe, expect, it } from "vitest"
import type { Backend } from "../backends/backend.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { generated, logitsOf, schedulerOf } from "../../test/engine/scheduling.js"
import { argmaxDisagreements, type Expected, fixtures, openFixture, relativeError } from "../../test/models/fixtures.js"
import type { GptOss } from "./gpt_oss.js"

async function greedy(model: GptOss, backend: Backend, { tokens, greedy_tokens }: Expected) {
  const { scheduler, close } = schedulerOf(model, backend)
  const found = await generated(scheduler, tokens, { temperature: 0, max_tokens: greedy_tokens.length })
  await close()
  return found.tokens
}

/** Holds a backend's logits against transformers (and mlx-lm) on fixtures of some layouts. */
function holdsAgainstTruth(createBackend: () => Backend, layouts: string[], tolerance: number) {
  it.each(fixtures(...layouts))("%s, %s: logits and greedy tokens", async (shape, layout) => {
    const backend = createBackend()
    const { checkpoint, model, expected } = await openFixture(shape, layout)
    const { vocab_size } = model.config
    const logits = await logitsOf(model, backend, expected.tokens)
    for (const truth of [expected.logits, expected.mlx_logits ?? expected.logits]) {
      expect(logits).toHaveLength(truth.length)
      expect(relativeError(logits, truth)).toBeLessThan(tolerance)
      const scale = Math.max(...truth.map(Math.abs))
      expect(argmaxDisagreements(logits, truth, vocab_size, tolerance * scale)).toEqual([])
    }
    expect(await greedy(model, backend, expected)).toEqual([...expected.greedy_tokens])
    await backend.close()
    await checkpoint.close()
  })
}

describe("gpt-oss on the reference backend, against transformers and mlx-lm", () => {
  holdsAgainstTruth(() => new ReferenceBackend(), ["hf", "hf-mxfp4", "mlx-q8"], 1e-4)

  it.each(["hf-mxfp4", "mlx-q8"])("%s: computes the same however cut, and without the passes", async (layout) => {
    const { checkpoint, model, expected } = await openFixture("three-of-ten", layout)
    const backend = new ReferenceBackend()
    const whole = await logitsOf(model, backend, expected.tokens)
    for (const options of [{ prefill_chunk: 7 }, { prefill_chunk: 1 }, { optimise: false }]) {
      expect(relativeError(await logitsOf(model, backend, expected.tokens, options), whole)).toBeLessThan(1e-6)
    }
    await checkpoint.close()
  })
})
