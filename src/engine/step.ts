import * as mx from "../array/mx.js"
import { MxArray } from "../array/mx_array.js"
import type { CompiledFunction, InputSpecs } from "../array/transforms.js"
import type { Backend, HostArray, LoadOptions } from "../backends/backend.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import type { Appendable, CacheOptions, LayerCache } from "../cache/layer_cache.js"
import type { Storage } from "../tensor/storage.js"
import { LogitsError } from "./errors.js"
import type { Draw } from "./model_runner.js"
import type { Submitted } from "./run_ahead.js"

/** What a causal language model offers its runners. */
export interface CausalLM {
  readonly config: { readonly vocab_size: number; readonly max_position_embeddings: number }
  /** Records one step: logits `[L - firstRow, vocab_size]`. */
  forward(ids: MxArray, positions: MxArray, caches: readonly Appendable[], firstRow: number): MxArray
  makeCaches(maxContext: number, maxRows: number, options?: CacheOptions): LayerCache[]
}

/** Which rows a step gives logits of: none (early prefill chunks), the last, or all. */
export type Wanted = "none" | "last" | "all"

/** How a step draws a token from each row of logits, if it does. */
export type Sampling = "greedy" | "categorical"

export function samplingOf({ temperature }: Draw): Sampling {
  return temperature === 0 ? "greedy" : "categorical"
}

export interface StepKind {
  readonly rows: number
  readonly wanted: Wanted
  /** Draws on the device; the output is then the drawn ids instead of the logits. */
  readonly sampling?: Sampling
  /** Takes the ids from where the step before drew them, instead of from the host. */
  readonly continues?: boolean
}

/** The step that decodes a token: with the token that the step before drew where steps are submitted ahead. */
export function decodingStep({ replaysAhead }: Pick<Backend, "replaysAhead">): StepKind {
  return replaysAhead > 1
    ? { rows: 1, wanted: "last", sampling: "greedy", continues: true }
    : { rows: 1, wanted: "last" }
}

/** A step's inputs, refilled for every replay. */
interface StepBuffers {
  readonly ids: Uint32Array
  readonly positions: Uint32Array
  readonly sequences: Uint32Array
  readonly temperature: Float32Array
  readonly uniform: Float32Array
}

/** A compiled step with the arrays that feed it. */
export interface Step extends StepBuffers {
  readonly program: CompiledFunction<InputSpecs>
  /** Runs it. Resolves as `Executable.replay`. */
  replay(): Promise<void>
}

/**
 * Traces and compiles one step of a model over its caches.
 *
 * @param drawn state `[rows]` (uint32) that drawn ids go to
 */
export async function compileStep(
  { rows, wanted, sampling, continues = false }: StepKind,
  model: CausalLM,
  caches: readonly LayerCache[],
  drawn: Storage,
  batched: boolean,
  options: LoadOptions & { readonly device: Backend; readonly optimise?: boolean },
): Promise<Step> {
  const logitRows = wanted === "all" ? rows : 1
  const buffers: StepBuffers = {
    ids: new Uint32Array(rows),
    positions: new Uint32Array(rows),
    sequences: new Uint32Array(rows),
    temperature: new Float32Array(1),
    uniform: new Float32Array(logitRows),
  }
  const used: (keyof StepBuffers)[] = ["positions"]
  if (!continues) used.push("ids")
  if (batched) used.push("sequences")
  if (sampling === "categorical") used.push("temperature", "uniform")
  const specs: InputSpecs = Object.fromEntries(
    used.map((name) => {
      const values = buffers[name]
      return [name, { shape: [values.length], dtype: values instanceof Float32Array ? "float32" : "uint32" }]
    }),
  )
  const program = await mx.compile(
    specs,
    (inputs) => {
      const effects: MxArray[] = []
      const appendable = caches.map((cache) => ({
        append(keys: MxArray, values: MxArray, positions: MxArray) {
          const appended = cache.append(keys, values, positions, batched ? inputs.sequences : undefined)
          effects.push(appended.keys, appended.values)
          return appended
        },
      }))
      const ids = continues ? MxArray.stateOf(drawn) : inputs.ids
      const logits = model.forward(ids, inputs.positions, appendable, wanted === "all" ? 0 : rows - 1)
      if (wanted === "none") return { outputs: [], effects }
      if (!sampling) return { outputs: [logits], effects }
      const chosen =
        sampling === "greedy" ? mx.argmax(logits) : mx.random.categorical(logits, inputs.temperature, inputs.uniform)
      const assigned = drawn.shape[0] === logitRows ? [mx.assign(drawn, chosen)] : []
      return { outputs: [chosen], effects: [...effects, ...assigned] }
    },
    options,
  )
  const fed: Record<string, HostArray> = Object.fromEntries(used.map((name) => [name, buffers[name]]))
  return { ...buffers, program, replay: () => program.replay(fed) }
}

/** Says how the next replay draws; its rows take uniform numbers from number `first` on. */
export function feedDraw(step: Step, { temperature, uniform }: Draw, first: number): void {
  if (temperature === 0) return
  step.temperature[0] = temperature
  // In float32 a number just below 1 must not become 1.
  for (let row = 0; row < step.uniform.length; row++) step.uniform[row] = Math.min(uniform(first + row), 1 - 2 ** -24)
}

/**
 * The ids drawn by the replay before, even if others follow before they are here.
 *
 * @throws {LogitsError} (the result) when there was a row to draw from that nobody could
 */
export function readDrawn({ program }: Step): Submitted<Uint32Array> {
  return { result: idsIn(program.outputs[0].storage) }
}

async function idsIn(storage: Storage): Promise<Uint32Array> {
  const ids = new Uint32Array(storage.byteLength / 4)
  await storage.read(0, new Uint8Array(ids.buffer))
  if (ids.includes(NO_INDEX)) throw new LogitsError()
  return ids
}
