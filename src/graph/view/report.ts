import type { FusedKind } from "../../ir/operations.js"
import type { Program } from "../../ir/program.js"
import type { Roots } from "../../ir/value.js"
import { type Explanation, explain } from "../explain.js"
import { lower } from "../lower.js"
import { type OptimiseOptions, optimise } from "../optimise.js"
import { type Fold, fold } from "./fold.js"
import { type Launch, launchesOf } from "./launches.js"

/** What a graph comes to when it is lowered, as plain data. */
export interface Step {
  /** What is launched, in order; repeated layers are folded. */
  readonly folds: readonly Fold<Launch>[]
  readonly launches: number
  /** Bytes that it reads and writes; of caches what is seen of full page tables, of experts and embeddings the chosen rows. */
  readonly read: number
  readonly written: number
  readonly flops: number
  /** Bytes that intermediate values need at once, and what they would need each in memory of its own. */
  readonly arena: number
  readonly arenaApart: number
}

/** What a pass did, and its own share: what the same pipeline without it would need more. */
export interface PassShare extends Explanation {
  readonly launches: number
  readonly arena: number
}

export interface Report {
  readonly traced: Step
  readonly optimised: Step
  readonly passes: readonly PassShare[]
}

/** Looks at a graph before and after the optimiser. Nothing is compiled, and no weight is read. */
export function reportOf(traced: Roots, fusions: ReadonlySet<FusedKind>, without: readonly string[] = []): Report {
  const run = (options: OptimiseOptions) => optimise(traced, { ...options, fusions })
  const optimised = run({ without })
  const whole = lower(optimised)
  const passes = explain(optimised).map((explanation): PassShare => {
    const program = lower(run({ without: [...without, explanation.pass] }))
    return {
      ...explanation,
      launches: program.instructions.length - whole.instructions.length,
      arena: arenaOf(program) - arenaOf(whole),
    }
  })
  return { traced: stepOf(traced), optimised: stepOf(optimised), passes }
}

function stepOf(roots: Roots): Step {
  const program = lower(roots)
  const launches = launchesOf(program)
  const sum = (of: (launch: Launch) => number) => launches.reduce((total, launch) => total + of(launch), 0)
  return {
    folds: fold(launches, keyOf),
    launches: launches.length,
    read: sum(({ bytes, written }) => bytes - written),
    written: sum(({ written }) => written),
    flops: sum(({ flops }) => flops),
    arena: arenaOf(program),
    arenaApart: arenaOf(lower(roots, { reuseMemory: false })),
  }
}

/** Alike in everything but where they read from, which differs at the first layer. */
function keyOf({ reads: _, ...launch }: Launch): string {
  return JSON.stringify(launch)
}

function arenaOf({ buffers }: Program): number {
  return buffers.reduce((sum, buffer) => sum + (buffer.kind === "arena" ? buffer.byteLength : 0), 0)
}
