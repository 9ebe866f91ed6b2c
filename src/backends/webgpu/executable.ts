import type { Sym } from "../../ir/dim.js"
import type { Executable, HostArray } from "../backend.js"
import { BackendError } from "../backend.js"
import { checkIds, type IdLimit, idLimits } from "../id_limits.js"
import type { Program } from "../../ir/program.js"
import { type ReplayBuffers, replayBuffers } from "../replay_buffers.js"
import { inputBytes, type Rows, rowsOf, sameRows } from "../step_inputs.js"
import type { GpuBlock } from "./buffers.js"
import type { GpuDevice } from "./device.js"
import { bound, most } from "./bindable.js"
import { WorkspaceRef } from "./dispatch.js"
import type { Layout } from "./layout.js"
import type { GpuMemory } from "./memory.js"
import type { GpuQueue } from "./queue.js"
import type { BoundDispatch } from "./bound_dispatch.js"

/** What an executable needs of its backend. */
export interface GpuPorts {
  readonly gpu: Pick<GpuDevice, "device" | "check">
  /** Where storages and intermediate values lie now. */
  readonly memory: Pick<GpuMemory, "workspace" | "departures" | "blockOf" | "written">
  readonly queue: Pick<GpuQueue, "write" | "submit">
}

/** A command list: replaying encodes the same dispatches into one pass and submits it. */
export class GpuExecutable implements Executable {
  private readonly idLimits: readonly IdLimit[]
  private readonly buffers: ReplayBuffers<GpuBlock>
  /** Where the intermediate values were when the dispatches were bound. */
  private workspace: GPUBuffer | null
  private bound: readonly BoundDispatch[]
  /** What the parameters and workgroups were last told. */
  private rows: Rows = new Map()
  /** The memory's departures up to which all storages lie where the dispatches are bound to. */
  private checked = -1
  private isDisposed = false

  constructor(
    private readonly ports: GpuPorts,
    program: Program,
    private readonly layout: Layout,
    /** By the kernels' texts. */
    private readonly pipelines: ReadonlyMap<string, GPUComputePipeline>,
  ) {
    this.idLimits = idLimits(program)
    // Intermediate values, which have no place of their own, are none of a replay's concern.
    this.buffers = replayBuffers(program, layout.places as readonly GpuBlock[])
    this.workspace = ports.memory.workspace.buffer
    this.bound = this.bind()
  }

  /**
   * Resolves when the work is submitted: reads of the results, and later replays, come after it in the GPU's order, so
   * a caller may submit several replays and read each one's results later.
   */
  async replay(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    const { gpu, memory, queue } = this.ports
    const { inputs: fed, written } = this.buffers
    gpu.check()
    if (this.isDisposed) throw new BackendError("this executable was disposed of: compile the program again")
    const rows = rowsOf(fed, inputs)
    checkIds(this.idLimits, inputs, rows)
    this.checkStorages()
    for (const { buffer, place } of fed) queue.write(place, inputBytes(buffer, inputs[buffer.name]))
    if (this.workspace !== memory.workspace.buffer) {
      this.workspace = memory.workspace.buffer
      this.bound = this.bind()
      this.rows = new Map()
    }
    if (!sameRows(rows, this.rows)) this.tell(rows)
    queue.submit(this.bound)
    for (const storage of written) memory.written(storage)
  }

  /** @throws BackendError when a storage no longer lies where the dispatches are bound to */
  private checkStorages(): void {
    const { memory } = this.ports
    const { departures } = memory
    if (departures === this.checked) return
    for (const { buffer, place } of this.buffers.storages) {
      const block = memory.blockOf(buffer.storage)
      if (block.buffer === place.buffer && block.offset === place.offset) continue
      throw new BackendError(`${buffer.storage.name} has moved since the program was compiled: compile it again`)
    }
    this.checked = departures
  }

  /** Gives parameters and workgroups their values for so many rows. */
  private tell(rows: Rows): void {
    const { dispatches, params } = this.layout
    const rowsFor = (sym: Sym) => rows.get(sym)!
    let isChanged = false
    for (const [i, { perReplay, workgroups }] of dispatches.entries()) {
      for (const { word, value } of perReplay) params.words[params.offsets[i] / 4 + word] = bound(value, rowsFor)
      isChanged ||= perReplay.length > 0
      this.bound[i].workgroups = bound(workgroups, rowsFor)
    }
    if (isChanged) this.ports.queue.write({ buffer: params.buffer, offset: 0 }, params.words)
    this.rows = rows
  }

  private bind(): BoundDispatch[] {
    const { dispatches, params } = this.layout
    return dispatches.map(({ label, code, bindings, params: words, workgroups, bytes }, i) => {
      const pipeline = this.pipelines.get(code)!
      const uniform = { buffer: params.buffer, offset: params.offsets[i], size: words?.byteLength }
      const bindGroup = this.ports.gpu.device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [
          ...(words ? [{ binding: 0, resource: uniform }] : []),
          ...bindings.map(({ buffer, offset, size }, b) => ({
            binding: b + 1,
            resource: { buffer: buffer instanceof WorkspaceRef ? this.workspace! : buffer, offset, size },
          })),
        ],
      })
      return { label, pipeline, bindGroup, workgroups: most(workgroups), bytes }
    })
  }

  dispose(): void {
    if (this.isDisposed) return
    this.isDisposed = true
    this.layout.free()
  }
}
