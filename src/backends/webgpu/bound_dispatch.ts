import type { Workgroups } from "./dispatch.js"

/** A dispatch bound to its buffers, ready to be encoded. */
export interface BoundDispatch {
  readonly label: string
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  /** Those of the last replay's rows. */
  workgroups: Workgroups
  readonly bytes: number
}

/** Records dispatches, in order. */
export function encodeDispatches(pass: GPUComputePassEncoder, dispatches: readonly BoundDispatch[]): void {
  let last: GPUComputePipeline | null = null
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    if (pipeline !== last) pass.setPipeline(pipeline)
    last = pipeline
    pass.setBindGroup(0, bindGroup)
    pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2])
  }
}
