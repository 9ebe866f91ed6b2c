import type { Storage } from "../../tensor/storage.js"
import type { Executable, HostArray } from "../backend.js"
import { BackendError } from "../backend.js"
import { checkIds, type IdLimit, idLimits } from "../id_limits.js"
import type { Program } from "../../ir/program.js"
import { inputBytes } from "../step_inputs.js"
import type { WebGpuBackend } from "./backend.js"
import { WorkspaceRef } from "./dispatch.js"
import type { Layout } from "./layout.js"

/** A dispatch ready to be encoded. */
export interface Step {
  readonly label: string
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  readonly workgroups: readonly [number, number, number]
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
    checkIds(this.idLimits, inputs)
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
    }
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
      return { label, pipeline, bindGroup, workgroups, bytes }
    })
  }

  dispose(): void {
    this.layout.free()
  }
}
