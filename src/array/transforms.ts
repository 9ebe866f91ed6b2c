import type { Backend, Executable, HostArray, LoadOptions } from "../backends/backend.js"
import type { Placement } from "../backends/placement.js"
import { constant, input } from "../graph/build.js"
import { lower } from "../graph/lower.js"
import { optimise } from "../graph/optimise.js"
import type { Roots } from "../graph/rewrite.js"
import { GraphError } from "../ir/type.js"
import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
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
  if (!("choose" in chosen)) return chosen
  const { outputs, effects } = optimise(traced)
  return chosen.choose(lower(outputs, effects))
}

/**
 * Computes arrays together, in one program; afterwards they hold their values where they were computed.
 *
 * @throws {GraphError} when no device is named and there is no default
 */
export async function evaluate(arrays: readonly MxArray[], device?: Device): Promise<void> {
  const pending = arrays.filter(({ node }) => node.node.op.kind !== "constant")
  if (pending.length === 0) return
  const traced = { outputs: pending.map(({ node }) => node), effects: [] }
  const backend = backendFor(device, traced)
  const roots = optimise(traced, { fusions: backend.fusions })
  const program = lower(roots.outputs)
  const executable = await backend.compile(program)
  try {
    await executable.replay({})
  } finally {
    executable.dispose()
  }
  pending.forEach((array, i) => {
    array.node = constant(program.results[i])
  })
}

/** The inputs of a compiled function: what is fed at each replay. */
export type InputSpecs = Readonly<Record<string, { readonly shape: Shape; readonly dtype: DType }>>

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
    private readonly executable: Executable,
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

/** Traces `fn` once on inputs of the given shapes and compiles the recorded graph. */
export async function compile<I extends InputSpecs>(
  inputs: I,
  fn: (inputs: { readonly [K in keyof I]: MxArray }) => Traced,
  options: CompileOptions = {},
): Promise<CompiledFunction<I>> {
  const placeholders = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, dtype }]) => [name, new MxArray(input(name, shape, dtype))]),
  ) as { [K in keyof I]: MxArray }
  const { outputs, effects = [] } = fn(placeholders)
  const reuseMemory = options.optimise ?? true
  const traced = { outputs: outputs.map(({ node }) => node), effects: effects.map(({ node }) => node) }
  const backend = backendFor(options.device, traced)
  const roots = reuseMemory ? optimise(traced, { fusions: backend.fusions }) : traced
  const program = lower(roots.outputs, roots.effects, { reuseMemory })
  const executable = await backend.compile(program, options).catch((error: unknown) => {
    for (const result of program.results) result.dispose()
    throw error
  })
  return new CompiledFunction(executable, program.results.map(MxArray.of))
}
