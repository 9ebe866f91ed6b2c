import * as mx from "../array/mx.js"
import { MxArray } from "../array/mx_array.js"
import {
  type CompiledFunction,
  type CompileOptions,
  compileTraced,
  type InputSpecs,
  trace,
} from "../array/transforms.js"
import type { Backend, HostArray } from "../backends/backend.js"
import { type Dim, upper } from "../ir/dim.js"
import type { Roots } from "../ir/value.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import type { Appendable, CacheOptions, LayerCache } from "../cache/layer_cache.js"
import type { Storage } from "../tensor/storage.js"
import { LogitsError } from "./errors.js"
import type { Draw } from "./model_runner.js"
import type { Submitted } from "./run_ahead.js"

/** What a causal language model offers its runners. */
export interface CausalLM {
  readonly config: { readonly vocab_size: number; readonly max_position_embeddings: number }
  /** Records one step: logits `[W, vocab_size]` of the rows `wanted` `[W]` (uint32), or of all. */
  forward(ids: MxArray, positions: MxArray, caches: readonly Appendable[], wanted: MxArray | null): MxArray
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
  /** A symbol serves every number of rows up to its most. */
  readonly rows: Dim
  readonly wanted: Wanted
  /** Draws on the device; the output is then the drawn ids instead of the logits. */
  readonly sampling?: Sampling
  /** Takes the ids from where the step before drew them, instead of from the host. */
  readonly continues?: boolean
}

/** The rows of a step for a prompt of so many: those of its class, see `Backend.rowClasses`, and at most a whole chunk. */
export function promptRows(count: number, { rowClasses }: Pick<Backend, "rowClasses">, chunk: number): Dim {
  if (count === 1) return 1
  const max = Math.min(chunk, rowClasses.find((most) => most >= count) ?? chunk)
  return { name: "rows", max }
}

/** The step that decodes a token: with the token that the step before drew where steps are submitted ahead. */
export function decodingStep({ replaysAhead }: Pick<Backend, "replaysAhead">): StepKind {
  return replaysAhead > 1
    ? { rows: 1, wanted: "last", sampling: "greedy", continues: true }
    : { rows: 1, wanted: "last" }
}

/** A step's inputs, refilled for every replay: as long as its most rows. */
interface StepBuffers {
  readonly ids: Uint32Array
  readonly positions: Uint32Array
  readonly sequences: Uint32Array
  /** The rows that logits are wanted of. */
  readonly wanted: Uint32Array
  readonly temperature: Float32Array
  readonly uniform: Float32Array
}

/** What a model is run over: its caches, and where drawn ids wait for the step that continues with them. */
export interface StepStates {
  readonly caches: readonly LayerCache[]
  /** `[sequences]` uint32 */
  readonly drawn: Storage
  /** Whether each row belongs to a sequence of its own. */
  readonly batched: boolean
}

/** A compiled step with the arrays that feed it. */
export interface Step extends StepBuffers {
  readonly program: CompiledFunction<InputSpecs>
  /** Runs it on the first `rows` of what feeds it. Resolves as `Executable.replay`. */
  replay(rows: number): Promise<void>
}

type InputName = keyof StepBuffers

/** The inputs that a step of this kind has, and those whose length is its rows. */
function inputsOf(kind: StepKind, batched: boolean): InputSpecs {
  const { rows, wanted, sampling, continues } = kind
  const logitRows = wanted === "all" ? rows : 1
  return {
    ...(continues ? {} : { ids: { shape: [rows], dtype: "uint32" } }),
    positions: { shape: [rows], dtype: "uint32" },
    ...(batched ? { sequences: { shape: [rows], dtype: "uint32" } } : {}),
    ...(wanted === "last" && rows !== 1 ? { wanted: { shape: [1], dtype: "uint32" } } : {}),
    ...(sampling === "categorical"
      ? { temperature: { shape: [1], dtype: "float32" }, uniform: { shape: [logitRows], dtype: "float32" } }
      : {}),
  }
}

/** Records one step of a model over its states: nothing is compiled. */
export function traceStep(kind: StepKind, model: CausalLM, { caches, drawn, batched }: StepStates): Roots {
  const { wanted, sampling, continues } = kind
  return trace(inputsOf(kind, batched), (inputs) => {
    const effects: MxArray[] = []
    const appendable = caches.map((cache) => ({
      append(keys: MxArray, values: MxArray, positions: MxArray) {
        const appended = cache.append(keys, values, positions, batched ? inputs.sequences : undefined)
        effects.push(appended.keys, appended.values)
        return appended
      },
    }))
    const ids = continues ? MxArray.stateOf(drawn) : inputs.ids
    const logits = model.forward(ids, inputs.positions, appendable, inputs.wanted ?? null)
    if (wanted === "none") return { outputs: [], effects }
    if (!sampling) return { outputs: [logits], effects }
    const chosen =
      sampling === "greedy" ? mx.argmax(logits) : mx.random.categorical(logits, inputs.temperature, inputs.uniform)
    const isDrawnByAll = chosen.shape[0] === drawn.shape[0]
    return { outputs: [chosen], effects: isDrawnByAll ? [...effects, mx.assign(drawn, chosen)] : effects }
  })
}

/** Traces and compiles one step. */
export async function compileStep(
  kind: StepKind,
  model: CausalLM,
  states: StepStates,
  options: CompileOptions,
): Promise<Step> {
  const program = await compileTraced<InputSpecs>(traceStep(kind, model, states), options)
  const inputs = Object.entries(inputsOf(kind, states.batched))
  const most = upper(kind.rows)
  const buffers: StepBuffers = {
    ids: new Uint32Array(most),
    positions: new Uint32Array(most),
    sequences: new Uint32Array(most),
    wanted: new Uint32Array(1),
    temperature: new Float32Array(1),
    uniform: new Float32Array(kind.wanted === "all" ? most : 1),
  }
  const whole: Record<string, HostArray> = Object.fromEntries(
    inputs.map(([name]) => [name, buffers[name as InputName]]),
  )
  const cut = (rows: number) =>
    Object.fromEntries(
      inputs.map(([name, { shape }]) => [name, shape[0] === kind.rows ? whole[name].subarray(0, rows) : whole[name]]),
    )
  return {
    ...buffers,
    program,
    replay: (rows) => {
      buffers.wanted[0] = rows - 1
      return program.replay(rows === most ? whole : cut(rows))
    },
  }
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
