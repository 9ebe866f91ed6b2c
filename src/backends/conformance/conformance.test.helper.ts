import { describe, expect, it } from "vitest"
import type { Backend } from "../backend.js"
import type { KernelKind } from "../ops.js"
import { ReferenceBackend } from "../reference/backend.js"
import { attentionCases, kvAppendCases, ropeCases } from "./attention_cases.test.helper.js"
import { itKeepsTheContract } from "./contract.test.helper.js"
import { binaryCases, copyCases, swigluCases, unaryCases } from "./elementwise_cases.test.helper.js"
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
const CASES: Record<KernelKind, (random: Random) => Case[]> = {
  copy: copyCases,
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

const KINDS = Object.keys(CASES) as KernelKind[]

/** Tests every case, and only then fails, with what each one that failed had to say. */
async function forAll<C extends Case>(cases: readonly C[], test: (testCase: C, i: number) => Promise<void>) {
  const failures: string[] = []
  for (const [i, testCase] of cases.entries()) {
    await test(testCase, i).catch((error: Error) => failures.push(error.message.includes(testCase.name) ? error.message : `${testCase.name}: ${error.message}`))
  }
  if (failures.length > 0) throw new Error(failures.join("\n"))
}

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
      for (const kind of KINDS) {
        it(
          kind,
          withBackend(async (backend) => {
            const cases = trueCases(kind)
            expect(cases, "recorded cases").not.toHaveLength(0)
            await forAll(cases, async (testCase) => {
              const [[found]] = await run(testCase, backend)
              const tolerance = backend.tolerance(kind) + testCase.tolerance
              expectClose(found, testCase.expected, tolerance, `${kind}: ${testCase.name}`)
            })
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
            await forAll(CASES[kind](new Random(kind.length)), async (testCase, i) => {
              const truth = await run(expected[i], reference)
              const found = await run(testCase, backend)
              for (const [step, outputs] of truth.entries()) {
                for (const [j, output] of outputs.entries()) {
                  const what = `${kind} ${i}: ${testCase.name}, replay ${step}, output ${j}`
                  expectClose(found[step][j], output, backend.tolerance(kind), what)
                }
              }
            })
          }),
        )
      }
    })

    itHasTheProperties(withBackend)
    itKeepsTheContract(withBackend)
  })
}
