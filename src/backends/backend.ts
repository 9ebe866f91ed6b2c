import type { KvFormat } from "../tensor/kv_format.js"
import type { MemorySpace, Storage } from "../tensor/storage.js"
import type { Tolerance } from "../ir/op_spec.js"
import type { FusedKind } from "../ir/operations.js"
import type { Program } from "../ir/program.js"

/** The values a caller may feed to an input: its dtype must match the array type. */
export type HostArray = Float32Array | Uint32Array | Int32Array | Uint8Array

/** What is asked of an `AbortSignal`, written out so that the types need neither the DOM's nor Node's. */
export interface CancelSignal {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  addEventListener(type: "abort", listener: () => void): void
  removeEventListener(type: "abort", listener: () => void): void
}

/**
 * How activations are kept. `exact`: in float32 throughout, for comparisons. `fast`: narrower where that is faster, see
 * `CpuOptions` and `WebGpuOptions`. `int16`: as `fast`, but in no less than 16 bits.
 */
export type Precision = "fast" | "int16" | "exact"

export interface LoadOptions {
  /** Called as bytes become resident. */
  onProgress?: (bytesLoaded: number, bytesTotal: number) => void
  /** Called as kernels are compiled, by backends that do so on the machine: while bytes load, and after. */
  onCompile?: (kernelsCompiled: number, kernelsTotal: number) => void
  /** Checked between tensors. */
  signal?: CancelSignal
}

/** One way to run Programs: `reference`, `cpu` or `webgpu`. Also the memory its buffers live in. */
export interface Backend extends MemorySpace {
  readonly name: string
  /** The fused operations that programs for this backend should be made of, where the graph has them. */
  readonly fusions: ReadonlySet<FusedKind>
  /** How KV caches may be kept, the preferred way first. */
  readonly kvFormats: readonly KvFormat[]
  /** Rows per step in which long prompts run best. */
  readonly prefillChunk: number
  /** Numbers of rows, ascending to `prefillChunk`: programs for at most so many run well for any number above the one before. */
  readonly rowClasses: readonly number[]
  /** Replays worth submitting before the first one's results are read: 1 where `replay` runs to its end. */
  readonly replaysAhead: number
  /** The relative error ||a - b|| / ||b|| that float results of such operations may have against exact arithmetic. */
  tolerance(of: Tolerance): number
  /**
   * Copies each storage that is not yet here, straight into its destination.
   * @throws BackendError when the memory does not suffice.
   */
  makeResident(storages: Iterable<Storage>, options?: LoadOptions): Promise<void>
  /** Allocates buffers, makes the program's storages resident and records the command list. */
  compile(program: Program, options?: LoadOptions): Promise<Executable>
  /** Counts memory as this backend would allocate it, without allocating any. Without it, arrays take their bytes. */
  memoryCounter?(): MemoryCounter
  /**
   * Resolves when everything submitted so far has run.
   * @throws BackendError when the device was lost meanwhile
   */
  fence(): Promise<void>
  /** Frees memory and threads. Executables are invalid afterwards. */
  close(): Promise<void>
}

/** Adds up, call by call, what memory things would take beside what was counted before. */
export interface MemoryCounter {
  /** Bytes of `makeResident`. */
  storages(storages: Iterable<Storage>): Promise<number>
  /** Bytes of `compile`, the program's storages apart, which must have been counted. */
  program(program: Program): Promise<number>
  /** Bytes of the host's memory that loading all these storages takes until it is done. */
  readonly staging: number
}

/** A compiled program: replaying it allocates nothing. */
export interface Executable {
  /**
   * Runs the program once with the given step inputs, keyed by input name. Resolves when the results can be read: a
   * read that begins before the next replay gives this one's values, even if it ends later. One replay at a time.
   */
  replay(inputs: Readonly<Record<string, HostArray>>): Promise<void>
  /** Frees what the program has of its own. It cannot be replayed afterwards. */
  dispose(): void
}

/** A backend could not do what was asked: out of memory, a lost worker or device, an input of the wrong size. */
export class BackendError extends Error {
  override readonly name: string = "BackendError"
}

/** The memory of a device does not suffice. What was being allocated is freed. */
export class OutOfMemoryError extends BackendError {
  override readonly name = "OutOfMemoryError"
}
