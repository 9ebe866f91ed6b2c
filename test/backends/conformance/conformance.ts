import { describe, expect, it } from "vitest"
import type { Backend } from "../../../src/backends/backend.js"
import { ReferenceBackend } from "../../../src/backends/reference/backend.js"
import { toleranceOf } from "../../../src/ir/describe.js"
import { isFused, type KernelKind } from "../../../src/ir/operations.js"
import { attentionCases, kvAppendCases, ropeAttentionCases, ropeCases } from "./attention_cases.js"
import { itKeepsTheContract } from "./contract.js"
import { binaryCases, copyCases, unaryCases } from "./elementwise_cases.js"
import { gatherMatmulSumCases, normGatherGluCases, normMatmulCases, routeCases } from "./fused_cases.js"
import { itFusesFaithfully } from "./fusion_properties.js"
import { extremeGluCases, GLU_KINDS, gluCases } from "./glu_cases.js"
import { embeddingCases, gatherGluCases, gatherMatmulCases, matmulCases } from "./product_cases.js"
import { itHasTheProperties } from "./properties.js"
import { Random } from "./random.js"
import {
  argmaxCases,
  putCases,
  reduceCases,
  rmsNormCases,
  softmaxCases,
  takeAlongAxisCases,
  takeCases,
  topKCases,
  weightedSumCases,
} from "./row_cases.js"
import { type Case, expectClose, isSmall, needs, run, type Share, shareOf, type WithBackend } from "./run.js"
import { adjustLogitsCases, sampleCases } from "./sampling_cases.js"
import { itTakesRowsAtReplay } from "./told_rows.js"
import { trueCases } from "./vectors.js"

/** Cases for every kernel there is: a new kernel does not compile without some. */
export const CASES: Record<KernelKind, (random: Random) => Case[]> = {
  copy: copyCases,
  unary: unaryCases,
  binary: binaryCases,
  reduce: reduceCases,
  softmax: softmaxCases,
  argmax: argmaxCases,
  top_k: topKCases,
  take_along_axis: takeAlongAxisCases,
  take: takeCases,
  put: putCases,
  adjust_logits: adjustLogitsCases,
  sample: sampleCases,
  embedding: embeddingCases,
  matmul: matmulCases,
  gather_matmul: gatherMatmulCases,
  gather_glu: gatherGluCases,
  rms_norm: rmsNormCases,
  rope: ropeCases,
  kv_append: kvAppendCases,
  attention: attentionCases,
  glu: gluCases,
  weighted_sum: weightedSumCases,
  norm_matmul: normMatmulCases,
  route: routeCases,
  norm_gather_glu: normGatherGluCases,
  gather_matmul_sum: gatherMatmulSumCases,
  rope_attention: (random) => ropeAttentionCases(random, "float32"),
}

/**
 * The formats of KV caches, and what rounding may add to the tolerance of what is written and of attention to it. WebGPU
 * leaves it to devices which way they round to float16: two may be one step apart, 2^-10. Of two encodings of nearly the same
 * error, arithmetic of another precision may choose the other one, now and then.
 */
const KV_FORMATS = [
  { format: "float16", rounding: 1e-3 },
  { format: "int8", rounding: 2e-3 },
  { format: "int4", rounding: 1e-2 },
] as const

/** The kernels that read or write KV caches. */
const CACHE_CASES = [
  { kind: "kv_append", casesOf: kvAppendCases },
  { kind: "attention", casesOf: attentionCases },
  { kind: "rope_attention", casesOf: ropeAttentionCases },
] as const

const KINDS = Object.keys(CASES) as KernelKind[]

/** Those that others have too. */
const RECORDED = KINDS.filter((kind) => !isFused(kind))

/** Tests every case, and only then fails, with what each one that failed had to say. */
async function forAll<C extends Case>(cases: readonly C[], test: (testCase: C, i: number) => Promise<void>) {
  const failures: string[] = []
  for (const [i, testCase] of cases.entries()) {
    await test(testCase, i).catch((error: Error) =>
      failures.push(error.message.includes(testCase.name) ? error.message : `${testCase.name}: ${error.message}`),
    )
  }
  if (failures.length > 0) throw new Error(failures.join("\n"))
}

/** Holds a backend's results on each case against those of the reference. */
async function holdAgainstReference(
  backend: Backend,
  kind: KernelKind,
  casesOf: (random: Random) => Case[],
  tolerance: number,
  share: Share,
): Promise<void> {
  const reference = new ReferenceBackend()
  // Twice the same, as a case's states are used up.
  const [expected, cases] = [0, 1].map(() => shareOf(kind, casesOf(new Random(kind.length)), share))
  await forAll(cases, async (testCase, i) => {
    const truth = await run(expected[i], reference)
    const found = await run(testCase, backend)
    for (const [step, outputs] of truth.entries()) {
      if (testCase.expect) {
        testCase.expect(found[step], `${kind} ${i}: ${testCase.name}, replay ${step}`)
        continue
      }
      for (const [j, output] of outputs.entries()) {
        const what = `${kind} ${i}: ${testCase.name}, replay ${step}, output ${j}`
        expectClose(found[step][j], output, tolerance, what)
      }
    }
  })
}

/**
 * Declares the tests that every backend passes: each kernel against recorded results of transformers, torch and MLX and,
 * on more and larger cases, against the reference; what must hold between kernels; and the contract of `Backend`.
 *
 * @param createBackend called for each test; the suite closes what it makes
 * @param share of the cases, all by default: for backends whose kernels take seconds to compile
 */
export function runConformance(
  name: string,
  createBackend: () => Backend | Promise<Backend>,
  share: Share = { part: 0, of: 1 },
): void {
  const withBackend: WithBackend = (test) => async (context) => {
    const backend = await createBackend()
    try {
      await test(backend, context)
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
            await forAll(shareOf(kind, cases, share), async (testCase) => {
              const [[found]] = await run(testCase, backend)
              const tolerance = backend.tolerance(toleranceOf(kind)) + testCase.tolerance
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
          withBackend(async (backend, context) => {
            needs(kind, backend, context)
            await holdAgainstReference(backend, kind, CASES[kind], backend.tolerance(toleranceOf(kind)), share)
          }),
        )
      }
    })

    describe("at extreme gates", () => {
      for (const kind of GLU_KINDS) {
        it(
          kind,
          withBackend(async (backend, context) => {
            needs(kind, backend, context)
            const casesOf = (random: Random) => extremeGluCases(kind, random)
            // On every device: each has kernels of its own.
            const gates = isSmall(share) ? share : { part: 0, of: 1 }
            await holdAgainstReference(backend, kind, casesOf, backend.tolerance(toleranceOf(kind)), gates)
          }),
        )
      }
    })

    for (const { format, rounding } of KV_FORMATS) {
      describe(`with caches in ${format}`, () => {
        for (const { kind, casesOf } of CACHE_CASES) {
          it(
            kind,
            withBackend(async (backend, context) => {
              needs(kind, backend, context)
              if (!backend.kvFormats.includes(format)) context.skip(`${backend.name} keeps no caches in ${format}`)
              // Float16 caches are given what they hold exactly.
              const more = format === "float16" && kind === "attention" ? 0 : rounding
              const tolerance = backend.tolerance(toleranceOf(kind)) + more
              await holdAgainstReference(backend, kind, (random) => casesOf(random, format), tolerance, share)
            }),
          )
        }
      })
    }

    itHasTheProperties(withBackend, share)
    itFusesFaithfully(withBackend, share)
    itTakesRowsAtReplay(withBackend, share)
    itKeepsTheContract(withBackend)
  })
}
