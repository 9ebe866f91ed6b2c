import type { Backend, LoadOptions } from "../backends/backend.js"
import type { LayerCache } from "../cache/layer_cache.js"
import { Storage } from "../tensor/storage.js"
import { type CausalLM, compileStep, type Step, type StepKind } from "./step.js"

/** Compiled steps kept: decoding, the prefill chunk, and the last few prompt remainders. */
const MAX_STEPS = 8

export interface StepsOptions {
  readonly device: Backend
  readonly optimise?: boolean
  /** Sequences side by side in the caches; left out for caches of one sequence. */
  readonly sequences?: number
}

/** The compiled steps of a model over its caches: the most recently used ones. */
export class Steps {
  private readonly compiled = new Map<string, Step>()
  /** Where drawn ids wait for the step that continues with them. */
  private readonly drawn: Storage

  constructor(
    private readonly model: CausalLM,
    private readonly caches: readonly LayerCache[],
    private readonly options: StepsOptions,
  ) {
    this.drawn = new Storage("drawn ids", "uint32", [options.sequences ?? 1], null)
  }

  async get(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const key = `${kind.rows} ${kind.wanted} ${kind.sampling} ${kind.continues}`
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
    this.drawn.dispose()
  }

  private compile(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const { device, optimise, sequences } = this.options
    const batched = sequences !== undefined
    return compileStep(kind, this.model, this.caches, this.drawn, batched, { ...options, device, optimise })
  }
}
