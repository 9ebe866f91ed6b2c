import { describe, expect, it } from "vitest"
import type { Backend } from "../backend.js"
import type { FusedKind, KernelKind } from "../ops.js"
import { ReferenceBackend } from "../reference/backend.js"
import { attentionCases, kvAppendCases, ropeCases } from "./attention_cases.test.helper.js"
import { itKeepsTheContract } from "./contract.test.helper.js"
import { assignCases, binaryCases, copyCases, swigluCases, unaryCases } from "./elementwise_cases.test.helper.js"
import { embeddingCases, gatherMatmulCases, gatherSwigluCases, matmulCases } from "./product_cases.test.helper.js"
import { itHasTheProperties } from "./properties.test.helper.js"
import { Random } from "./random.test.helper.js"
import {
  argmaxCases,
  categoricalCases,
  reduceCases,
  rmsNormCases,
  softmaxCases,
  takeAlongAxisCases,
  topKCases,
  weightedSumCases,
} from "./row_cases.test.helper.js"
import { type Case, expectClose, run } from "./run.test.helper.js"
import { trueCases } from "./vectors.test.helper.js"

/** Cases for every kernel there is: a new kernel does not compile without some. */
const CASES: Record<Exclude<KernelKind, FusedKind>, (random: Random) => Case[]> = {
  copy: copyCases,
  assign: assignCases,
  unary: unaryCases,
  binary: binaryCases,
  reduce: reduceCases,
  softmax: softmaxCases,
  argmax: argmaxCases,
  top_k: topKCases,
  take_along_axis: takeAlongAxisCases,
  categorical: categoricalCases,
  embedding: embeddingCases,
  matmul: matmulCases,
  gather_matmul: gatherMatmulCases,
  gather_swiglu: gatherSwigluCases,
  rms_norm: rmsNormCases,
  rope: ropeCases,
  kv_append: kvAppendCases,
  attention: attentionCases,
  swiglu: swigluCases,
  weighted_sum: weightedSumCases,
}

const KINDS = Object.keys(CASES) as (keyof typeof CASES)[]

/** Those that others have too. */
const RECORDED = KINDS.filter((kind) => kind !== "assign")

/**
 * Declares the tests that every backend passes: each kernel against recorded results of transformers, torch and MLX and,
 * on more and larger cases, against the reference; what must hold between kernels; and the contract of `Backend`.
 *
 * @param createBackend called for each test; the suite closes what it makes
 */
export function runConformance(name: string, createBackend: () => Backend | Promise<Backend>): void {
  const withBackend = (test: (backend: Backend) => Promise<void>) => async () => {
    const backend = await createBackend()
    try {
      await test(backend)
    } finally {
      await backend.close()
    }
  }

  describe(name, () => {
    describe("against transformers, torch and MLX", () => {
      for (const kind of RECORDED) {
        it(
          kind,
          withBackend(async (backend) => {
            const cases = trueCases(kind)
            expect(cases, "recorded cases").not.toHaveLength(0)
            for (const testCase of cases) {
              const [[found]] = await run(testCase, backend)
              const tolerance = backend.tolerance(kind) + testCase.tolerance
              expectClose(found, testCase.expected, tolerance, `${kind}: ${testCase.name}`)
            }
          }),
        )
      }
    })

    describe("against the reference", () => {
      for (const kind of KINDS) {
        it(
          kind,
          withBackend(async (backend) => {
            const reference = new ReferenceBackend()
            const expected = CASES[kind](new Random(kind.length))
            for (const [i, testCase] of CASES[kind](new Random(kind.length)).entries()) {
              const truth = await run(expected[i], reference)
              const found = await run(testCase, backend)
              for (const [step, outputs] of truth.entries()) {
                for (const [j, output] of outputs.entries()) {
                  const what = `${kind} ${i}: ${testCase.name}, replay ${step}, output ${j}`
                  expectClose(found[step][j], output, backend.tolerance(kind), what)
                }
              }
            }
          }),
        )
      }
    })

    itHasTheProperties(withBackend)
    itKeepsTheContract(withBackend)
  })
}
