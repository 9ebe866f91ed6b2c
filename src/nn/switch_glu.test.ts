import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import * as mx from "../array/mx.js"
import { ReferenceBackend } from "../backends/reference/backend.js"
import { relativeError } from "../../test/backends/conformance/run.js"
import type { WeightSource } from "./module.js"
import { SwitchGLU } from "./switch_glu.js"

interface Tensor {
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

/** A case of tools/reference/switch_glu.py. */
interface Recorded {
  readonly activation: mx.GatedActivation
  readonly bias: boolean
  readonly weights: Readonly<Record<string, Tensor>>
  readonly x: Tensor
  readonly ids: readonly (readonly number[])[]
  readonly y: Tensor
}

const recorded: readonly Recorded[] = JSON.parse(
  readFileSync(new URL("../../../test/nn/fixtures/switch_glu.json", import.meta.url), "utf8"),
)

const array = ({ shape, values }: Tensor) => mx.array(Float32Array.from(values), shape)

describe("SwitchGLU", () => {
  it.each(recorded)("is mlx-lm's: $activation.fn, bias: $bias", async ({ activation, bias, weights, x, ids, y }) => {
    const left = new Set(Object.keys(weights))
    const take: WeightSource["take"] = (name, shape) => {
      expect(weights[name]?.shape, name).toEqual(shape)
      left.delete(name)
      return array(weights[name])
    }
    const experts = new SwitchGLU(6, 5, 4, bias, activation)
    experts.load({ take, takeWeight: (path, shape) => ({ quantization: null, weight: take(`${path}.weight`, shape) }) })
    expect([...left], "weights not taken").toEqual([])
    const found = experts.forward(array(x), mx.array(Uint32Array.from(ids.flat()), [ids.length, ids[0].length]))
    await mx.evaluate([found], new ReferenceBackend())
    expect(found.shape).toEqual(y.shape)
    const values = new Float32Array(await found.data())
    expect(relativeError(values, Float32Array.from(y.values))).toBeLessThan(1e-6)
  })
})
