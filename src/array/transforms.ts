import type { Backend, Executable, HostArray, LoadOptions } from "../backends/backend.js"
import type { Placement } from "../backends/placement.js"
import { input } from "../graph/build.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import { GraphError } from "../ir/graph_error.js"
import type { Dims } from "../ir/dim.js"
import type { Roots } from "../ir/value.js"
import type { DType } from "../tensor/dtype.js"
import { MxArray } from "./mx_array.js"

/** A backend, or what chooses one for each program: see `mx.autoDevice`. */
export type Device = Backend | Placement

let defaultDevice: Device | undefined

/** What `evaluate` and `compile` use when no device is named; undefined for none. */
export function setDefaultDevice(device: Device | undefined): void {
  defaultDevice = device
}

function backendFor(device: Device | undefined, traced: Roots): Backend {
  const chosen = device ?? defaultDevice
  if (!chosen) throw new GraphError("no device: name one, or call mx.setDefaultDevice first")
  return "choose" in chosen ? chosen.choose(traced) : chosen
}

/**
 * Computes arrays together, in one program; afterwards they hold their values where they were computed.
 *
 * @throws {GraphError} when no device is named and there is no default
 */
export async function evaluate(arrays: readonly MxArray[], device?: Device): Promise<void> {
  const pending = arrays.filter(({ value }) => value.node.op.kind !== "constant")
  if (pending.length === 0) return
  const compiled = await compileTraced({ outputs: pending.map(({ value }) => value) }, { device })
  await compiled.replay({}).finally(() => compiled.executable.dispose())
  pending.forEach((array, i) => {
    array.value = compiled.outputs[i].value
  })
}

/** The inputs of a compiled function: what is fed at each replay. */
export type InputSpecs = Readonly<Record<string, { readonly shape: Dims; readonly dtype: DType }>>

/** What a traced function asks for. */
export interface Traced {
  readonly outputs: readonly MxArray[]
  /** Arrays computed for what they write (KV appends, assignments), not read back. */
  readonly effects?: readonly MxArray[]
}

export interface CompileOptions extends LoadOptions {
  readonly device?: Device
  /** False runs the graph as it was traced, every value in memory of its own: the oracle of the optimiser. */
  readonly optimise?: boolean
}

/** A function traced once and replayed: nothing is allocated per call. */
export class CompiledFunction<I extends InputSpecs> {
  constructor(
    readonly executable: Executable,
    /** The outputs, in the traced order. Their values are those of the latest replay. */
    readonly outputs: readonly MxArray[],
  ) {}

  /** Runs once. Resolves when `outputs` hold the new values. */
  replay(inputs: { readonly [K in keyof I]: HostArray }): Promise<void> {
    return this.executable.replay(inputs)
  }

  dispose(): void {
    this.executable.dispose()
    for (const { storage } of this.outputs) storage.dispose()
  }
}

/** Records what `fn` does with inputs of the given shapes. Nothing is compiled, and nothing runs. */
export function trace<I extends InputSpecs>(
  inputs: I,
  fn: (inputs: { readonly [K in keyof I]: MxArray }) => Traced,
): Roots {
  const placeholders = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, dtype }]) => [name, new MxArray(input(name, shape, dtype))]),
  ) as { [K in keyof I]: MxArray }
  const { outputs, effects = [] } = fn(placeholders)
  return { outputs: outputs.map(({ value }) => value), effects: effects.map(({ value }) => value) }
}

/** Optimises, lowers and compiles a traced graph. */
export async function compileTraced<I extends InputSpecs>(
  traced: Roots,
  { device, optimise: isOptimised = true, ...options }: CompileOptions = {},
): Promise<CompiledFunction<I>> {
  const backend = backendFor(device, traced)
  const roots = isOptimised ? optimise(traced, { fusions: backend.fusions }) : traced
  const program = lower(roots, { reuseMemory: isOptimised })
  const executable = await backend.compile(program, options).catch((error: unknown) => {
    for (const result of program.results) result.dispose()
    throw error
  })
  return new CompiledFunction(executable, program.results.map(MxArray.of))
}

/** Traces `fn` once on inputs of the given shapes and compiles the recorded graph. */
export function compile<I extends InputSpecs>(
  inputs: I,
  fn: (inputs: { readonly [K in keyof I]: MxArray }) => Traced,
  options: CompileOptions = {},
): Promise<CompiledFunction<I>> {
  return compileTraced(trace(inputs, fn), options)
}
