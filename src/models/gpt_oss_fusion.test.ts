import { describe, expect, it } from "vitest"
import { MxArray } from "../array/mx_array.js"
import { FUSED_KINDS } from "../ir/operations.js"
import { writesOf } from "../ir/describe.js"
import { isKind, type Program } from "../ir/program.js"
import type { KeyValues } from "../cache/layer_cache.js"
import { input } from "../graph/build.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import { fixtures, openFixture } from "./fixtures.test.helper.js"
import type { GptOss } from "./gpt_oss.js"

/** A step of `rows` tokens as a runner traces it, with every fusion there is. */
function program(model: GptOss, rows: number, wantsLogits: boolean): Program {
  const placeholder = (name: string, n = rows) => new MxArray(input(name, [n], "uint32"))
  const appended: KeyValues[] = []
  const caches = model.makeCaches(64, 16).map((cache) => ({
    append(...args: Parameters<typeof cache.append>) {
      appended.push(cache.append(...args))
      return appended[appended.length - 1]
    },
  }))
  const logits = model.forward(
    placeholder("ids"),
    placeholder("positions"),
    caches,
    rows > 1 ? placeholder("wanted", 1) : null,
  )
  const effects = appended.flatMap(({ keys, values }) => [keys.value, values.value])
  const roots = optimise({ outputs: wantsLogits ? [logits.value] : [], effects }, { fusions: new Set(FUSED_KINDS) })
  return lower(roots)
}

const LAYER = ["norm_matmul", "rope_attention", "matmul", "route", "norm_gather_glu", "gather_matmul_sum"]

describe("a traced step of gpt-oss with every fusion", () => {
  it.each(fixtures("hf", "hf-mxfp4", "mlx-q8"))("%s, %s: six kernels a layer, no copies", async (shape, layout) => {
    const { checkpoint, model } = await openFixture(shape, layout)
    const layers = model.config.layer_types.map(() => LAYER)
    for (const rows of [1, 5]) {
      const { instructions } = program(model, rows, true)
      const head = rows > 1 ? ["take", "norm_matmul"] : ["norm_matmul"]
      expect(instructions.map(({ op }) => op.kind)).toEqual(["embedding", ...layers.flat(), ...head])
      const products = instructions.filter((instruction) => isKind(instruction, "matmul"))
      expect(products.every(({ operands }) => operands.residual)).toBe(true)
    }
    await checkpoint.close()
  })

  it("appends to every cache exactly once, also where nobody reads the last attention", async () => {
    const { checkpoint, model } = await openFixture("three-of-ten", "mlx-q8")
    for (const wantsLogits of [true, false]) {
      const { buffers, instructions } = program(model, 5, wantsLogits)
      const states = buffers.flatMap((buffer, i) => (buffer.kind === "storage" && buffer.access === "write" ? [i] : []))
      const appends = instructions.flatMap(({ op, results }) =>
        Object.keys(writesOf(op)).map((name) => results[name].buffer),
      )
      const results = wantsLogits ? 1 : 0
      expect(states).toHaveLength(2 * model.config.layer_types.length + results)
      expect([...appends].sort((a, b) => a - b)).toEqual(states.slice(0, states.length - results))
      expect(instructions.filter(({ op }) => op.kind === "kv_append")).toHaveLength(wantsLogits ? 0 : 2)
    }
    await checkpoint.close()
  })
})
