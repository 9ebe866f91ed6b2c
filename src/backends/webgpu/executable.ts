import type { Sym } from "../../ir/dim.js"
import type { Storage } from "../../tensor/storage.js"
import type { Executable, HostArray } from "../backend.js"
import { BackendError } from "../backend.js"
import { checkIds, type IdLimit, idLimits } from "../id_limits.js"
import type { Program } from "../../ir/program.js"
import { inputBytes, type Rows, rowsOf, sameRows } from "../step_inputs.js"
import type { WebGpuBackend } from "./backend.js"
import { bound, most, type Workgroups, WorkspaceRef } from "./dispatch.js"
import type { Layout } from "./layout.js"

/** A dispatch ready to be encoded. */
export interface Step {
  readonly label: string
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  workgroups: Workgroups
  readonly bytes: number
}

/** Records the steps' dispatches, in order. */
export function encodeSteps(pass: GPUComputePassEncoder, steps: readonly Step[]): void {
  let last: GPUComputePipeline | null = null
  for (const { pipeline, bindGroup, workgroups } of steps) {
    if (pipeline !== last) pass.setPipeline(pipeline)
    last = pipeline
    pass.setBindGroup(0, bindGroup)
    pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2])
  }
}

/** A command list: replaying encodes the same dispatches into one pass and submits it. */
export class GpuExecutable implements Executable {
  private readonly idLimits: readonly IdLimit[]
  /** Where the intermediate values were when the steps were bound. */
  private workspace: GPUBuffer | null
  private steps: readonly Step[]
  /** What the parameters and workgroups were last told. */
  private rows: Rows = new Map()

  constructor(
    private readonly backend: WebGpuBackend,
    private readonly program: Program,
    private readonly layout: Layout,
    /** By the kernels' texts. */
    private readonly pipelines: ReadonlyMap<string, GPUComputePipeline>,
  ) {
    this.idLimits = idLimits(program)
    this.workspace = backend.memory.workspace.buffer
    this.steps = this.bind()
  }

  /**
   * Resolves when the work is submitted: reads of the results, and later replays, come after it in the GPU's order, so
   * a caller may submit several replays and read each one's results later.
   */
  async replay(inputs: Readonly<Record<string, HostArray>>): Promise<void> {
    const { gpu } = this.backend
    gpu.check()
    const rows = rowsOf(this.program, inputs)
    checkIds(this.idLimits, inputs, rows)
    for (const [i, buffer] of this.program.buffers.entries()) {
      if (buffer.kind === "input") {
        gpu.device.queue.writeBuffer(
          this.layout.places[i]!.buffer,
          0,
          inputBytes(buffer, inputs[buffer.name]) as Uint8Array<ArrayBuffer>,
        )
      } else if (buffer.kind === "storage" && !this.isInPlace(buffer.storage, i)) {
        throw new BackendError(`${buffer.storage.name} has moved since the program was compiled: compile it again`)
      }
    }
    if (this.workspace !== this.backend.memory.workspace.buffer) {
      this.workspace = this.backend.memory.workspace.buffer
      this.steps = this.bind()
      this.rows = new Map()
    }
    if (!sameRows(rows, this.rows)) this.tell(rows)
    if (gpu.profiler) {
      gpu.profiler.submit(this.steps)
    } else {
      const encoder = gpu.device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      encodeSteps(pass, this.steps)
      pass.end()
      gpu.device.queue.submit([encoder.finish()])
    }
    for (const buffer of this.program.buffers) {
      if (buffer.kind === "storage" && buffer.access === "write") buffer.storage.written(this.backend)
    }
  }

  private isInPlace(storage: Storage, i: number): boolean {
    const { buffer, offset } = this.backend.memory.blockOf(storage)
    const place = this.layout.places[i]!
    return buffer === place.buffer && offset === place.offset
  }

  /** Gives parameters and workgroups their values for so many rows. */
  private tell(rows: Rows): void {
    const { dispatches, params } = this.layout
    const rowsFor = (sym: Sym) => rows.get(sym)!
    let isChanged = false
    for (const [i, { perReplay, workgroups }] of dispatches.entries()) {
      for (const { word, value } of perReplay) params.words[params.offsets[i] / 4 + word] = bound(value, rowsFor)
      isChanged ||= perReplay.length > 0
      this.steps[i].workgroups = bound(workgroups, rowsFor)
    }
    if (isChanged) this.backend.gpu.device.queue.writeBuffer(params.buffer, 0, params.words)
    this.rows = rows
  }

  private bind(): Step[] {
    const { dispatches, params } = this.layout
    return dispatches.map(({ label, code, bindings, params: words, workgroups, bytes }, i) => {
      const pipeline = this.pipelines.get(code)!
      const uniform = { buffer: params.buffer, offset: params.offsets[i], size: words?.byteLength }
      const bindGroup = this.backend.gpu.device.createBindGroup({
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
    this.layout.free()
  }
}
