import { FUSED_KINDS } from "../../ir/operations.js"
import { specOf } from "../../ir/describe.js"
import { mapOperands } from "../../ir/operands.js"
import type { Instruction, Operand, Program } from "../../ir/program.js"
import type { MemorySpace, Replica, Storage } from "../../tensor/storage.js"
import { type Backend, BackendError, type Executable, type HostArray, type LoadOptions } from "../backend.js"
import { type ReplayBuffers, replayBuffers } from "../replay_buffers.js"
import { inputBytes, type Rows, rowsOf } from "../step_inputs.js"
import { runKernel } from "./kernels.js"
import type { Memory } from "./operands.js"
import { store } from "./operands.js"

/** Kernels between two returns to the event loop, so that Ctrl-C and progress are seen. */
const KERNELS_PER_TURN = 16

interface HostReplica extends Replica {
  view(): Uint8Array
}

/** Plain TypeScript on the JavaScript heap: slow, and obviously right. The oracle of the other backends. */
export class ReferenceBackend implements Backend {
  readonly name = "reference"
  readonly fusions = new Set(FUSED_KINDS)
  readonly kvFormats = ["float32", "float16", "int8", "int4"] as const
  readonly prefillChunk = 256
  readonly rowClasses = [1, 16, 256]
  readonly replaysAhead = 1

  /** Sums are float64, results rounded to float32 once. */
  tolerance(): number {
    return 1e-6
  }

  async makeResident(storages: Iterable<Storage>, { onProgress, signal }: LoadOptions = {}): Promise<void> {
    const missing = [...new Set(storages)].filter((storage) => !storage.replicaIn(this))
    const total = missing.reduce((sum, { byteLength }) => sum + byteLength, 0)
    let loaded = 0
    for (const storage of missing) {
      signal?.throwIfAborted()
      const bytes = new Uint8Array(storage.byteLength)
      if (!storage.isZero) await storage.read(0, bytes)
      storage.addReplica(this, replicaOf(bytes))
      loaded += storage.byteLength
      onProgress?.(loaded, total)
    }
  }

  async compile(program: Program, options?: LoadOptions): Promise<Executable> {
    const storages = program.buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer.storage] : []))
    await this.makeResident(storages, options)
    return new ReferenceExecutable(this, program)
  }

  /** At once: replays run to their ends. */
  async fence(): Promise<void> {}

  async close(): Promise<void> {}
}

function replicaOf(bytes: Uint8Array): HostReplica {
  return {
    view: () => bytes,
    read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.byteLength)),
    write: (offset, from) => bytes.set(from, offset),
    dispose: () => {},
  }
}

class ReferenceExecutable implements Executable {
  private readonly memory: Memory
  private readonly buffers: ReplayBuffers<Uint8Array>
  private isDisposed = false

  constructor(
    private readonly space: MemorySpace,
    private readonly program: Program,
  ) {
    this.memory = program.buffers.map((buffer) =>
      buffer.kind === "storage" ? viewOf(buffer.storage, space) : new Uint8Array(buffer.byteLength),
    )
    this.buffers = replayBuffers(program, this.memory)
  }

  async replay(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    if (this.isDisposed) throw new BackendError("this executable was disposed of: compile the program again")
    for (const { buffer, place } of this.buffers.storages) {
      if (viewOf(buffer.storage, this.space) === place) continue
      throw new BackendError(`${buffer.storage.name} has moved since the program was compiled: compile it again`)
    }
    const rows = rowsOf(this.buffers.inputs, inputs)
    for (const { buffer, place } of this.buffers.inputs) place.set(inputBytes(buffer, inputs[buffer.name]))
    for (const [i, template] of this.program.instructions.entries()) {
      if (i % KERNELS_PER_TURN === 0) await new Promise((resolve) => setTimeout(resolve))
      const instruction = rows.size === 0 ? template : withRows(template, rows)
      const values = runKernel(this.memory, instruction)
      for (const [name, result] of Object.entries(values)) store(this.memory, instruction.results[name], result)
    }
    for (const storage of this.buffers.written) storage.written(this.space)
  }

  dispose(): void {
    this.isDisposed = true
  }
}

/** The instruction on as many rows as a replay has. */
function withRows({ op, operands, results }: Instruction, rows: Rows): Instruction {
  const cut = (operand: Operand): Operand =>
    operand.rows ? { ...operand, shape: [rows.get(operand.rows)!, ...operand.shape.slice(1)] } : operand
  return {
    op,
    operands: mapOperands(specOf(op).operands, operands, cut),
    results: Object.fromEntries(Object.entries(results).map(([name, result]) => [name, cut(result)])),
  }
}

/** @throws BackendError when the storage is not here, such as after another backend has written it */
function viewOf(storage: Storage, space: MemorySpace): Uint8Array {
  const replica = storage.replicaIn(space) as HostReplica | undefined
  if (!replica) throw new BackendError(`${storage.name} is no longer in the memory of the reference: compile again`)
  return replica.view()
}
