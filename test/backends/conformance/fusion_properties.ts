import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Backend } from "../../../src/backends/backend.js"
import { apply, input, reshape, state } from "../../../src/graph/build.js"
import { lower } from "../../../src/graph/lower.js"
import { optimise } from "../../../src/graph/optimise.js"
import { toleranceOf } from "../../../src/ir/describe.js"
import { FUSED_KINDS, type FusedKind, type KernelKind } from "../../../src/ir/operations.js"
import type { Value } from "../../../src/ir/value.js"
import type { Shape } from "../../../src/tensor/shape.js"
import { Storage } from "../../../src/tensor/storage.js"
import { someActivation } from "./glu_cases.js"
import { exactly, floats, formats, type NamedFormat, Random, weight } from "./random.js"
import { expectClose, needs, run, type Share, settingsOf, type WithBackend } from "./run.js"
import { expectToldRows, Feeder, fewerRuns, type Over, PAGE_SIZE, pagesOf, steps } from "./told_rows.js"

/** Two groups of the widest, so that every format divides it. */
const K = 256

/** What a fused operation stands for, in primitives, and the kinds whose errors add up. */
interface Composition {
  readonly compose: (named: NamedFormat, of: Over) => readonly Value[]
  readonly kinds: readonly KernelKind[]
}

const norm = (random: Random, x: Value) => apply({ kind: "rms_norm", eps: 1e-5 }, { x, weight: floats(random, [K]) }).y

function matmul(random: Random, x: Value, N: number, { format, dtype }: NamedFormat): Value {
  return apply({ kind: "matmul" }, { x, weight: weight(random, format, [], N, K, dtype) }).y
}

function gather(random: Random, x: Value, ids: Value, N: number, { format, dtype }: NamedFormat): Value {
  return apply({ kind: "gather_matmul" }, { x, ids, weight: weight(random, format, [4], N, K, dtype) }).y
}

const COMPOSITIONS: Record<FusedKind, Composition> = {
  norm_matmul: {
    compose: (named, { random, rows }) => {
      const normed = norm(random, input("x", [rows, K], "float32"))
      return [9, 4, 5].map((N) => matmul(random, normed, N, named))
    },
    kinds: ["rms_norm", "matmul"],
  },
  route: {
    compose: (named, { random, rows }) => {
      const logits = matmul(random, norm(random, input("x", [rows, K], "float32")), 10, named)
      const ids = apply({ kind: "top_k", k: 3 }, { x: logits }).ids
      const chosen = apply({ kind: "take_along_axis" }, { x: logits, indices: ids }).y
      return [ids, apply({ kind: "softmax" }, { x: chosen }).y]
    },
    kinds: ["rms_norm", "matmul", "softmax"],
  },
  norm_gather_glu: {
    compose: (named, { random, rows }) => {
      const normed = norm(random, input("x", [rows, K], "float32"))
      const ids = input("ids", [rows, 2], "uint32")
      const [gate, up] = [0, 1].map(() => gather(random, normed, ids, 5, named))
      return [apply({ kind: "glu", activation: someActivation(random) }, { gate, up }).y]
    },
    kinds: ["rms_norm", "gather_matmul", "gather_matmul", "glu"],
  },
  gather_matmul_sum: {
    compose: (named, { random, rows }) => {
      const x = input("x", [rows, 3, K], "float32")
      const gathered = gather(random, x, input("ids", [rows, 3], "uint32"), 7, named)
      const weights = input("weights", [rows, 3], "float32")
      const sum = apply({ kind: "weighted_sum" }, { x: gathered, weights }).y
      return [apply({ kind: "binary", fn: "add" }, { a: input("residual", [rows, 7], "float32"), b: sum }).y]
    },
    kinds: ["gather_matmul", "weighted_sum", "binary"],
  },
  rope_attention: {
    compose: (named, of) => {
      const { random, rows, cache } = of
      const [heads, kv, D] = [6, 2, 8]
      const pages = pagesOf(of)
      const { slots, ...seen } = pages.inputs(rows)
      const { positions } = seen
      const normed = norm(random, input("x", [rows, K], "float32"))
      const [q, k, v] = [heads, kv, kv].map((n) => reshape(matmul(random, normed, n * D, named), [rows, n, D]))
      const invFreq = exactly([D / 2], [1, 0.1, 0.01, 0.001])
      const rope = (x: Value) => apply({ kind: "rope", scale: 1.1 }, { x, positions, inv_freq: invFreq }).y
      const append = (name: string, x: Value) =>
        apply({ kind: "kv_append" }, { cache: cache(name, [pages.slots, kv, D]), x, slots }).cache
      const cached = { keys: append("keys", rope(k)), values: append("values", v), ...seen }
      const op = { kind: "attention", scale: D ** -0.5, window: 5, page_size: PAGE_SIZE } as const
      return [apply(op, { q: rope(q), ...cached, sinks: floats(random, [heads]) }).y]
    },
    kinds: ["rms_norm", "matmul", "rope", "rope", "attention", "norm_matmul"],
  },
}

const toleranceOfAll = (backend: Backend, kinds: readonly KernelKind[]) =>
  2 * kinds.reduce((sum, kind) => sum + backend.tolerance(toleranceOf(kind)), 0)

/** Declares that each fused operation is found where it should be, and computes what the primitives do. */
export function itFusesFaithfully(withBackend: WithBackend, share: Share): void {
  const settings = settingsOf(share)
  const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 })
  const format = fc.constantFrom(...formats())
  describe("fused operations", () => {
    for (const kind of FUSED_KINDS) {
      const { compose, kinds } = COMPOSITIONS[kind]

      it(
        `${kind} is its unfused composition`,
        withBackend((backend, context) => {
          needs(kind, backend, context)
          return fc.assert(
            fc.asyncProperty(seed, format, fc.constantFrom(1, 2, 3, 7, 18, 33), async (seed, named, L) => {
              const composed = () => {
                const cache = (_: string, dims: Shape) => state(new Storage("cache", "float32", dims, null))
                return compose(named, { random: new Random(seed), rows: L, most: L, total: 3 * L, cache })
              }
              const unfused = composed()
              const { outputs } = optimise({ outputs: composed() }, backend)
              expect(lower({ outputs }).instructions.map(({ op }) => op.kind)).toContain(kind)
              const feeder = new Feeder(new Random(seed + 1), unfused, { total: 3 * L })
              const replays = [0, 1, 2].map(() => feeder.step(L))
              const expected = await run({ name: "unfused", outputs: unfused, replays }, backend)
              const found = await run({ name: "fused", outputs, replays }, backend)
              const tolerance = toleranceOfAll(backend, [...kinds, kind])
              for (const [step, results] of expected.entries()) {
                for (const [i, result] of results.entries()) {
                  const what = `${named.name}, ${L} rows, replay ${step}, output ${i}`
                  expectClose(found[step][i], result, tolerance, what)
                }
              }
            }),
            settings,
          )
        }),
      )

      it(
        `${kind} takes its rows at replay`,
        withBackend((backend, context) => {
          needs(kind, backend, context)
          return fc.assert(
            fc.asyncProperty(seed, format, steps, (seed, named, steps) => {
              const tolerance = toleranceOfAll(backend, [...kinds, kind])
              return expectToldRows(backend, (of) => compose(named, of), steps, seed, tolerance, true)
            }),
            fewerRuns(settings),
          )
        }),
      )
    }
  })
}
