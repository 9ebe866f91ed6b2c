import type { Backend, LoadOptions } from "../backends/backend.js"
import { type CausalLM, compileStep, type Step, type StepKind, type StepStates } from "./step.js"

/** Compiled steps kept: decoding for each class of rows, and prompts for each with and without something wanted. */
const MAX_STEPS = 40

export interface StepsOptions {
  readonly backend: Backend
  /** False runs the traced graphs as they are, without passes or memory reuse. */
  readonly optimise?: boolean
}

/** The compiled steps of a model over its pages: the most recently used ones. */
export class Steps {
  private readonly compiled = new Map<string, Step>()

  constructor(
    private readonly model: CausalLM,
    private readonly states: StepStates,
    private readonly options: StepsOptions,
  ) {}

  async get(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const key = keyOf(kind)
    const step = this.compiled.get(key) ?? (await this.compile(kind, options))
    this.compiled.delete(key)
    this.compiled.set(key, step)
    const [[oldest, { program }]] = this.compiled
    if (this.compiled.size > MAX_STEPS) {
      this.compiled.delete(oldest)
      program.dispose()
    }
    return step
  }

  dispose(): void {
    for (const { program } of this.compiled.values()) program.dispose()
    this.compiled.clear()
  }

  private compile(kind: StepKind, options?: LoadOptions): Promise<Step> {
    const { backend, optimise } = this.options
    return compileStep(kind, this.model, this.states, { device: backend, optimise, ...options })
  }
}

function keyOf({ rows, wanted, draws, logits }: StepKind): string {
  const most = (dim: StepKind["wanted"]) => (typeof dim === "object" ? `to ${dim.max}` : dim)
  return `${most(rows)} ${most(wanted)} ${draws} ${logits}`
}
