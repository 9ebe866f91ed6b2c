import * as mx from "../array/mx.js"
import { MxArray } from "../array/mx_array.js"
import {
  type CompiledFunction,
  type CompileOptions,
  compileTraced,
  type InputSpecs,
  trace,
} from "../array/transforms.js"
import type { Backend } from "../backends/backend.js"
import type { KvLayer } from "../cache/kv_layout.js"
import type { KvStore } from "../cache/kv_store.js"
import type { PagedLayer } from "../cache/paged_layer.js"
import type { Dim } from "../ir/dim.js"
import type { Roots } from "../ir/value.js"
import type { Storage } from "../tensor/storage.js"

/** What a causal language model offers the engine. */
export interface CausalLM {
  readonly config: { readonly vocab_size: number; readonly max_position_embeddings: number }
  /** What its layers keep of each token. */
  readonly layers: readonly KvLayer[]
  /** Records one step: logits `[W, vocab_size]` of the rows `wanted` `[W]` (uint32), or of all. */
  forward(ids: MxArray, positions: MxArray, pages: readonly PagedLayer[], wanted: MxArray | null): MxArray
}

/** How a step draws a token from each wanted row: the most likely, or each by its own choices, with changed and masked logits or not. */
export type Draws = "greedy" | "sample" | "constrained"

/** What steps are compiled for. */
export interface StepKind {
  /** A symbol serves every number of rows up to its most. */
  readonly rows: Dim
  /** The rows that something is wanted of: all, none, or so many of them. */
  readonly wanted: "all" | "none" | Dim
  /** Draws on the device. */
  readonly draws: Draws | null
  /** Gives the logits of the wanted rows. */
  readonly logits: boolean
}

/** What a model is run over. */
export interface StepStates {
  readonly store: Pick<KvStore, "layers" | "groups" | "max_pages" | "page_size">
  /** `[lanes]` uint32: the token that each lane's sequence drew last. A lane is a sequence's place among those that run. */
  readonly drawn: Storage
}

/** Logits of a row that a device adjusts at most: a row that asks for more is drawn by the host. */
export const ROW_ADJUSTMENTS = 1024

/** The rows that a step for `count` of them is compiled for: those of the backend's class. */
export function classOf(count: number, { rowClasses }: Pick<Backend, "rowClasses">, name = "rows"): Dim {
  return count === 1 ? 1 : { name, max: rowClasses.find((most) => most >= count) ?? count }
}

/** The step that decodes one token greedily, as most conversations run it. */
export const DECODING: StepKind = { rows: 1, wanted: "all", draws: "greedy", logits: false }

/** The inputs that a step of this kind has. Those of other lengths than `rows` have symbols of their own. */
export function inputsOf({ rows, wanted, draws }: StepKind, { store, drawn }: StepStates, vocab_size: number) {
  const uint32 = (...shape: Dim[]) => ({ shape, dtype: "uint32" as const })
  const float32 = (...shape: Dim[]) => ({ shape, dtype: "float32" as const })
  const sequences: Dim = rows === 1 ? 1 : { name: "sequences", max: drawn.shape[0] }
  const count = wanted === "all" ? rows : wanted
  const inputs: Record<string, InputSpecs[string]> = {
    ids: uint32(rows),
    sources: uint32(rows),
    positions: uint32(rows),
    sequences: uint32(rows),
  }
  for (const group of store.groups.keys()) {
    inputs[`slots ${group}`] = uint32(rows)
    inputs[`tables ${group}`] = uint32(sequences, store.max_pages)
  }
  if (count === "none") return inputs
  if (wanted !== "all") inputs.wanted = uint32(count)
  if (draws) inputs.lanes = uint32(count)
  if (draws === "sample" || draws === "constrained") {
    inputs.top_k = uint32(count)
    for (const name of ["temperature", "top_p", "min_p", "uniform"]) inputs[name] = float32(count)
  }
  if (draws === "constrained") {
    inputs.mask = uint32(count, Math.ceil(vocab_size / 32))
    const adjustments: Dim = { name: "adjustments", max: ROW_ADJUSTMENTS * drawn.shape[0] }
    for (const name of ["adjusted rows", "adjusted ids"]) inputs[name] = uint32(adjustments)
    for (const name of ["bias", "factor", "shift"]) inputs[name] = float32(adjustments)
  }
  return inputs
}

/** Records one step of a model over its pages: nothing is compiled. Its results are the ids drawn, then the logits, if it gives them. */
export function traceStep(kind: StepKind, model: CausalLM, states: StepStates): Roots {
  const { store, drawn } = states
  const { wanted, draws } = kind
  return trace(inputsOf(kind, states, model.config.vocab_size), (inputs) => {
    const effects: MxArray[] = []
    const pages = store.layers.map(({ keys, values, group }): PagedLayer => {
      const [slots, tables] = [inputs[`slots ${group}`], inputs[`tables ${group}`]]
      return {
        append(k, v) {
          const appended = { keys: mx.fast.kvAppend(keys, k, slots), values: mx.fast.kvAppend(values, v, slots) }
          effects.push(appended.keys, appended.values)
          return { ...appended, sequences: inputs.sequences, tables, page_size: store.page_size }
        },
      }
    })
    const ids = mx.take(MxArray.stateOf(drawn), inputs.sources, inputs.ids)
    const logits = model.forward(ids, inputs.positions, pages, inputs.wanted ?? null)
    if (wanted === "none") return { outputs: [], effects }
    if (!draws) return { outputs: [logits], effects }
    const chosen = choose(draws, logits, inputs)
    effects.push(mx.put(drawn, chosen, inputs.lanes))
    return { outputs: kind.logits ? [chosen, logits] : [chosen], effects }
  })
}

function choose(draws: Draws, logits: MxArray, inputs: Readonly<Record<string, MxArray>>): MxArray {
  if (draws === "greedy") return mx.argmax(logits)
  const { temperature, top_k, top_p, min_p, uniform, bias, factor, shift } = inputs
  const choices = { temperature, top_k, top_p, min_p, uniform }
  if (draws === "sample") return mx.random.sample(logits, choices)
  const at = { rows: inputs["adjusted rows"], ids: inputs["adjusted ids"] }
  return mx.random.sample(mx.adjustLogits(logits, { ...at, bias, factor, shift }), choices, inputs.mask)
}

/** A compiled step. */
export interface Step {
  readonly kind: StepKind
  readonly inputs: InputSpecs
  readonly program: CompiledFunction<InputSpecs>
}

/** Traces and compiles one step. */
export async function compileStep(
  kind: StepKind,
  model: CausalLM,
  states: StepStates,
  options: CompileOptions,
): Promise<Step> {
  const program = await compileTraced<InputSpecs>(traceStep(kind, model, states), options)
  return { kind, inputs: inputsOf(kind, states, model.config.vocab_size), program }
}
