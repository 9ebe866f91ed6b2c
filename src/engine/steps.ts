import type { Backend, LoadOptions } from "../backends/backend.js"
import type { LayerCache } from "../cache/layer_cache.js"
import { Storage } from "../tensor/storage.js"
import { type CausalLM, compileStep, type Step, type StepKind, type StepStates } from "./step.js"

/** Compiled steps kept: decoding, and each class of prompts with and without logits. */
const MAX_STEPS = 20

export interface StepsOptions {
  readonly device: Backend
  readonly optimise?: boolean
  /** Sequences side by side in the caches; left out for caches of one sequence. */
  readonly sequences?: number
}

/** What a step of a model over these caches is traced with. */
export function stepStates(caches: readonly LayerCache[], sequences?: number): StepStates {
  const drawn = new Storage("drawn ids", "uint32", [sequences ?? 1], null)
  return { caches, drawn, batched: sequences !== undefined }
}

/** The compiled steps of a model over its caches: the most recently used ones. */
export class Steps {
  private readonly compiled = new Map<string, Step>()
  private readonly states: StepStates

  constructor(
    private readonly model: CausalLM,
    caches: readonly LayerCache[],
    private readonly options: StepsOptions,
  ) {
    this.states = stepStates(caches, options.sequences)
  }

  async get(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const { rows, wanted, sampling, continues } = kind
    const key = `${typeof rows === "number" ? rows : `to ${rows.max}`} ${wanted} ${sampling} ${continues}`
    const step = this.compiled.get(key) ?? (await this.compile(kind, options))
    this.compiled.delete(key)
    this.compiled.set(key, step)
    const [oldest] = this.compiled
    if (this.compiled.size > MAX_STEPS) {
      this.compiled.delete(oldest[0])
      oldest[1].program.dispose()
    }
    return step
  }

  /** Drops the compiled steps, as when the caches' states were replaced. Drawn ids stay. */
  drop(): void {
    for (const { program } of this.compiled.values()) program.dispose()
    this.compiled.clear()
  }

  dispose(): void {
    this.drop()
    this.states.drawn.dispose()
  }

  private compile(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const { device, optimise } = this.options
    return compileStep(kind, this.model, this.states, { ...options, device, optimise })
  }
}
