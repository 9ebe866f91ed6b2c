import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apply, input, reshape, state } from "../../graph/build.js"
import type { Value } from "../../ir/value.js"
import { lower } from "../../graph/lower.js"
import { optimise } from "../../graph/optimise.js"
import { toleranceOf } from "../../ir/describe.js"
import { Storage } from "../../tensor/storage.js"
import type { HostArray } from "../backend.js"
import { FUSED_KINDS, type FusedKind, type KernelKind } from "../../ir/operations.js"
import { feed } from "./attention_cases.test.helper.js"
import { exactly, floats, formats, integers, type NamedFormat, Random, weight } from "./random.test.helper.js"
import { someActivation } from "./glu_cases.test.helper.js"
import { expectClose, needs, run, type Share, settingsOf, type WithBackend } from "./run.test.helper.js"

/** Two groups of the widest, so that every format divides it. */
const K = 256

/** What a fused operation stands for, in primitives, and the kinds whose errors add up. */
interface Composition {
  readonly outputs: readonly Value[]
  readonly replays?: readonly Readonly<Record<string, HostArray>>[]
  readonly kinds: readonly KernelKind[]
}

const norm = (random: Random, x: Value) => apply({ kind: "rms_norm", eps: 1e-5 }, { x, weight: floats(random, [K]) }).y

function matmul(random: Random, x: Value, N: number, { format, dtype }: NamedFormat): Value {
  return apply({ kind: "matmul" }, { x, weight: weight(random, format, [], N, K, dtype) }).y
}

function gather(random: Random, x: Value, ids: Value, N: number, { format, dtype }: NamedFormat): Value {
  return apply({ kind: "gather_matmul" }, { x, ids, weight: weight(random, format, [4], N, K, dtype) }).y
}

const COMPOSITIONS: Record<FusedKind, (random: Random, named: NamedFormat, L: number) => Composition> = {
  norm_matmul: (random, named, L) => {
    const rows = norm(random, floats(random, [L, K]))
    return { outputs: [9, 4, 5].map((N) => matmul(random, rows, N, named)), kinds: ["rms_norm", "matmul"] }
  },
  route: (random, named, L) => {
    const logits = matmul(random, norm(random, floats(random, [L, K])), 10, named)
    const ids = apply({ kind: "top_k", k: 3 }, { x: logits }).ids
    const weights = apply(
      { kind: "softmax" },
      { x: apply({ kind: "take_along_axis" }, { x: logits, indices: ids }).y },
    ).y
    return { outputs: [ids, weights], kinds: ["rms_norm", "matmul", "softmax"] }
  },
  norm_gather_glu: (random, named, L) => {
    const rows = norm(random, floats(random, [L, K]))
    const ids = integers(random, [L, 2], 4)
    const [gate, up] = [0, 1].map(() => gather(random, rows, ids, 5, named))
    const outputs = [apply({ kind: "glu", activation: someActivation(random) }, { gate, up }).y]
    return { outputs, kinds: ["rms_norm", "gather_matmul", "gather_matmul", "glu"] }
  },
  gather_matmul_sum: (random, named, L) => {
    const rows = gather(random, floats(random, [L, 3, K]), integers(random, [L, 3], 4), 7, named)
    const sum = apply({ kind: "weighted_sum" }, { x: rows, weights: floats(random, [L, 3]) }).y
    const outputs = [apply({ kind: "binary", fn: "add" }, { a: floats(random, [L, 7]), b: sum }).y]
    return { outputs, kinds: ["gather_matmul", "weighted_sum", "binary"] }
  },
  rope_attention: (random, named, L) => {
    const [heads, kv, D, steps] = [6, 2, 8, 3]
    const several = random.below(2) === 1 ? 3 : undefined
    const rows = norm(random, input("x", [L, K], "float32"))
    const positions = input("positions", [L], "uint32")
    const sequences = several ? input("sequences", [L], "uint32") : undefined
    const dims = [...(several ? [several] : []), steps * L + 4, kv, D]
    const [q, k, v] = [heads, kv, kv].map((n) => reshape(matmul(random, rows, n * D, named), [L, n, D]))
    const invFreq = exactly([D / 2], [1, 0.1, 0.01, 0.001])
    const rope = (x: Value) => apply({ kind: "rope", scale: 1.1 }, { x, positions, inv_freq: invFreq }).y
    const append = (x: Value) => {
      const cache = state(new Storage("cache", "float32", dims, null))
      return apply({ kind: "kv_append" }, { cache, x, positions, sequences }).cache
    }
    const sinks = floats(random, [heads])
    const cached = { keys: append(rope(k)), values: append(v), positions, sinks, sequences }
    return {
      outputs: [apply({ kind: "attention", scale: D ** -0.5, window: 5 }, { q: rope(q), ...cached }).y],
      replays: feed(L, steps, several).map((rows) => ({ ...rows, x: random.floats(L * K) })),
      kinds: ["rms_norm", "matmul", "rope", "rope", "attention", "norm_matmul"],
    }
  },
}

/** Declares that each fused operation is found where it should be, and computes what the primitives do. */
export function itFusesFaithfully(withBackend: WithBackend, share: Share): void {
  const settings = settingsOf(share)
  describe("fused operations are their unfused composition", () => {
    for (const kind of FUSED_KINDS) {
      it(
        kind,
        withBackend((backend, context) => {
          needs(kind, backend, context)
          return fc.assert(
            fc.asyncProperty(
              fc.integer({ min: 0, max: 2 ** 31 - 1 }),
              fc.constantFrom(...formats()),
              fc.constantFrom(1, 2, 3, 7, 18, 33),
              async (seed, named, L) => {
                const compose = () => COMPOSITIONS[kind](new Random(seed), named, L)
                const { outputs: unfused, replays, kinds } = compose()
                const { outputs } = optimise({ outputs: compose().outputs }, backend)
                expect(lower({ outputs }).instructions.map(({ op }) => op.kind)).toContain(kind)
                const expected = await run({ name: "unfused", outputs: unfused, replays }, backend)
                const found = await run({ name: "fused", outputs, replays }, backend)
                const tolerance =
                  2 * [...kinds, kind].reduce((sum, kind) => sum + backend.tolerance(toleranceOf(kind)), 0)
                for (const [step, results] of expected.entries()) {
                  for (const [i, result] of results.entries()) {
                    expectClose(
                      found[step][i],
                      result,
                      tolerance,
                      `${named.name}, ${L} rows, replay ${step}, output ${i}`,
                    )
                  }
                }
              },
            ),
            settings,
          )
        }),
      )
    }
  })
}
