import * as mx from "../../src/array/mx.js"
import type { CausalLM } from "../../src/engine/step.js"

/** A model of which one logit is NaN at a position (below 64) and all after it. */
export function damagedFrom(position: number, model: CausalLM): CausalLM {
  const { vocab_size } = model.config
  const damage = new Float32Array(64 * vocab_size)
  for (let row = position; row < 64; row++) damage[row * vocab_size + 5] = Number.NaN
  return {
    config: model.config,
    layers: model.layers,
    forward(ids, positions, pages, wanted) {
      const logits = model.forward(ids, positions, pages, wanted)
      const rows = wanted ? mx.take(positions, wanted) : positions
      return mx.add(logits, mx.embedding(rows, { weight: mx.array(damage, [64, vocab_size]), quantization: null }))
    },
  }
}
