import type { Workgroups } from "./dispatch.js"

/** A dispatch ready to be encoded. */
export interface Step {
  readonly label: string
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  /** Those of the last replay's rows. */
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
