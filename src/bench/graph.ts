import type { Backend, Executable, HostArray } from "../backends/backend.js"
import type { KvStore } from "../cache/kv_store.js"
import type { LanguageModel } from "../engine/model.js"
import { storeFor } from "../engine/memory_plan.js"
import { type CausalLM, classOf, DECODING, type StepKind, type StepStates, traceStep } from "../engine/step.js"
import { GREEDY, StepRows } from "../engine/step_rows.js"
import { Steps } from "../engine/steps.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import { upper } from "../ir/dim.js"
import type { Program } from "../ir/program.js"
import type { Roots } from "../ir/value.js"
import { Storage } from "../tensor/storage.js"
import { median } from "./median.js"
import { warmUp } from "./warm_up.js"

export interface GraphBenchOptions {
  /** Tokens of the prompt. */
  readonly prompt_length: number
  /** Tokens decoded per timed run. */
  readonly tokens: number
  readonly runs: number
  readonly onProgress?: (done: number, total: number) => void
}

/** What a step takes until it can be replayed. Medians, in milliseconds. */
export interface BuildTimes {
  readonly step: "decode" | "prompt"
  readonly launches: number
  readonly trace_ms: number
  readonly optimise_ms: number
  readonly lower_ms: number
  /** By the backend, whose weights and kernels are there already. */
  readonly compile_ms: number
  /** Of the same step once it is compiled. */
  readonly cached_ms: number
}

/** Decoding with other passes, or none. */
export interface Variant {
  /** The pass that was left out; null for all of them, and each value in memory of its own: the graph as traced. */
  readonly without: string | null
  readonly launches: number
  readonly decode_tps: number
  /** The time of its replays over that of the optimised step measured right before and after. */
  readonly slowdown: number
}

export interface GraphBench extends Omit<GraphBenchOptions, "onProgress"> {
  readonly build: readonly BuildTimes[]
  /** The time of a prompt of a length that never ran, in a class that did, over that of the same length again; null if the class has no other. */
  readonly new_length_ratio: number | null
  /** With every pass. */
  readonly decode_tps: number
  readonly variants: readonly Variant[]
}

/** Times what stands between a model and its replays, and what each pass is worth on the backend's own kernels. */
export async function benchGraph(
  model: LanguageModel,
  backend: Backend,
  options: GraphBenchOptions,
): Promise<GraphBench> {
  const { onProgress, ...setting } = options
  const bench = new StepBench(model.network, backend, options)
  try {
    const passes = bench.passes()
    let done = 0
    const report = <T>(result: T): T => {
      onProgress?.(++done, passes.length + 4)
      return result
    }
    await bench.warmUp()
    const build = [report(await bench.build("decode")), report(await bench.build("prompt"))]
    const new_length_ratio = report(await bench.newLength())
    const variants: Variant[] = []
    for (const without of [null, ...passes]) variants.push(report(await bench.compare(without)))
    return { ...setting, build, new_length_ratio, decode_tps: median(bench.rates), variants }
  } finally {
    bench.dispose()
  }
}

/** A model's steps over caches of their own, all of zeros at first: speed does not depend on values. */
class StepBench {
  /** Tokens per second of each run of the optimised step. */
  readonly rates: number[] = []
  private readonly store: KvStore
  private readonly rows: StepRows
  private readonly states: StepStates
  private readonly steps: Steps
  private readonly kinds: Readonly<Record<BuildTimes["step"], StepKind>>
  private readonly chunk: number
  private readonly length: number

  constructor(
    private readonly network: CausalLM,
    private readonly backend: Backend,
    private readonly options: GraphBenchOptions,
  ) {
    const { max_position_embeddings } = network.config
    this.chunk = Math.min(backend.prefillChunk, max_position_embeddings)
    this.length = Math.min(options.prompt_length, this.chunk)
    this.kinds = { decode: DECODING, prompt: this.promptOf(this.length) }
    const max_context = Math.min(this.chunk + options.tokens, max_position_embeddings)
    this.store = storeFor(network, backend, { format: backend.kvFormats[0], max_context })
    this.states = { store: this.store, drawn: new Storage("drawn ids", "uint32", [1], null) }
    this.rows = new StepRows(this.chunk, this.states, network.config.vocab_size)
    this.steps = new Steps(network, this.states, { backend })
  }

  /** Those that match something in the decoding step. */
  passes(): string[] {
    const { notes } = optimise(this.trace("decode"), this.backend)
    return [...new Set(notes.filter(({ reason }) => reason === null).map(({ pass }) => pass))]
  }

  async warmUp(): Promise<void> {
    await warmUp(() => this.readPrompt(this.length))
  }

  async build(step: BuildTimes["step"]): Promise<BuildTimes> {
    const runs: Omit<BuildTimes, "step">[] = []
    await this.buildOnce(step)
    for (let run = 0; run < this.options.runs; run++) runs.push(await this.buildOnce(step))
    const of = (name: keyof (typeof runs)[number]) => median(runs.map((run) => run[name]))
    return {
      step,
      launches: of("launches"),
      trace_ms: of("trace_ms"),
      optimise_ms: of("optimise_ms"),
      lower_ms: of("lower_ms"),
      compile_ms: of("compile_ms"),
      cached_ms: of("cached_ms"),
    }
  }

  /** A prompt's length that never ran, over the same length again; null where its class has no other. */
  async newLength(): Promise<number | null> {
    const most = upper(this.kinds.prompt.rows)
    const isKnown = (rows: number) => rows > 1 && upper(classOf(rows, this.backend)) === most
    const others: number[] = []
    for (let by = 1; by < most && others.length < this.options.runs; by++) {
      others.push(...[this.length - by, this.length + by].filter((rows) => rows <= most && isKnown(rows)))
    }
    const ratios: number[] = []
    for (const rows of others) {
      await this.readPrompt(this.length)
      const first = await timed(() => this.readPrompt(rows))
      await this.readPrompt(this.length)
      const again = await timed(() => this.readPrompt(rows))
      ratios.push(first.ms / again.ms)
    }
    return ratios.length > 0 ? median(ratios) : null
  }

  /** Decodes without a pass, or as traced, in turns with the optimised step. */
  async compare(without: string | null): Promise<Variant> {
    const traced = this.trace("decode")
    const { fusions } = this.backend
    const optimised = await this.compile(optimise(traced, { fusions }), true)
    const other =
      without === null
        ? await this.compile(traced, false)
        : await this.compile(optimise(traced, { fusions, without: [without] }), true)
    const [own, ratios]: [number[], number[]] = [[], []]
    for (let run = -1; run < this.options.runs; run++) {
      const before = await timed(optimised.decode)
      const { ms } = await timed(other.decode)
      const after = await timed(optimised.decode)
      if (run < 0) continue // what is first is slower
      const rateOf = (ms: number) => (1000 * this.options.tokens) / ms
      this.rates.push(rateOf(before.ms), rateOf(after.ms))
      own.push(rateOf(ms))
      ratios.push((2 * ms) / (before.ms + after.ms))
    }
    optimised.free()
    other.free()
    return { without, launches: other.launches, decode_tps: median(own), slowdown: median(ratios) }
  }

  dispose(): void {
    this.steps.dispose()
    this.states.drawn.dispose()
    for (const storage of this.store.storages) storage.dispose()
  }

  /** The step for a prompt of so many tokens. */
  private promptOf(rows: number): StepKind {
    return { ...DECODING, rows: classOf(rows, this.backend), wanted: 1 }
  }

  private trace(step: BuildTimes["step"]): Roots {
    return traceStep(this.kinds[step], this.network, this.states)
  }

  private async buildOnce(step: BuildTimes["step"]): Promise<Omit<BuildTimes, "step">> {
    const traced = await timed(() => this.trace(step))
    const optimised = await timed(() => optimise(traced.value, this.backend))
    const lowered = await timed(() => lower(optimised.value))
    const compiled = await timed(() => this.backend.compile(lowered.value))
    free(lowered.value, compiled.value)
    await this.steps.get(this.kinds[step])
    const cached = await timed(() => this.steps.get(this.kinds[step]))
    return {
      launches: lowered.value.instructions.length,
      trace_ms: traced.ms,
      optimise_ms: optimised.ms,
      lower_ms: lowered.ms,
      compile_ms: compiled.ms,
      cached_ms: cached.ms,
    }
  }

  private async readPrompt(rows: number): Promise<void> {
    const { inputs, program } = await this.steps.get(this.promptOf(rows))
    const kv = this.store.open()
    kv.extend(rows)
    this.rows.clear()
    this.rows.add(kv, 0, rows, { ids: new Uint32Array(rows) })
    this.rows.want({ lane: 0, choices: GREEDY, logits: false })
    await program.replay(this.rows.inputs(inputs))
    await finished(program.outputs[0].storage)
    kv.release()
  }

  private async compile(roots: Roots, reuseMemory: boolean) {
    const program = lower(roots, { reuseMemory })
    const executable = await this.backend.compile(program)
    const inputs = zeros(program)
    const last = this.network.config.max_position_embeddings - 1
    return {
      launches: program.instructions.length,
      decode: async () => {
        for (let token = 0; token < this.options.tokens; token++) {
          inputs.positions[0] = Math.min(this.length + token, last)
          await executable.replay(inputs)
        }
        await finished(program.results[0])
      },
      free: () => free(program, executable),
    }
  }
}

/** What feeds a program of fixed shapes. */
function zeros({ buffers }: Program): Record<string, HostArray> {
  const inputs = buffers.flatMap((buffer) => (buffer.kind === "input" ? [buffer] : []))
  return Object.fromEntries(inputs.map(({ name, byteLength }) => [name, new Uint32Array(byteLength / 4)]))
}

function free({ results }: Program, executable: Executable): void {
  executable.dispose()
  for (const result of results) result.dispose()
}

/** Waits until what was submitted is done. */
function finished(result: Storage): Promise<void> {
  return result.read(0, new Uint8Array(4))
}

async function timed<T>(run: () => T | Promise<T>): Promise<{ value: T; ms: number }> {
  const start = performance.now()
  const value = await run()
  return { value, ms: performance.now() - start }
}
