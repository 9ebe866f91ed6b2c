import { allocateBlocks } from "../../../src/backends/webgpu/blocks.js"
import { Buffers } from "../../../src/backends/webgpu/buffers.js"
import { GRANTING } from "../../../src/backends/webgpu/counter.js"
import type { Assembled } from "../../../src/backends/webgpu/dispatch.js"
import type { GpuFeatures } from "../../../src/backends/webgpu/features.js"
import { layOut } from "../../../src/backends/webgpu/layout.js"
import { Workspace } from "../../../src/backends/webgpu/workspace.js"
import type { Program } from "../../../src/ir/program.js"

/** What an NVIDIA H100 reports through Dawn. */
export const H100: GpuFeatures = {
  subgroups: { min: 32, max: 32 },
  f16: true,
  matrix: { m: 16, n: 16, k: 16 },
  timestamps: true,
  maxBinding: 2 ** 31 - 4,
  maxBuffer: 2 ** 40,
  maxBindings: 16,
  maxWorkgroupStorage: 48 * 1024,
  maxInvocations: 1024,
  offsetAlignment: 256,
  uniformAlignment: 256,
}

/** The dispatches that a program becomes on a device with such features; it need not be here. */
export async function plannedDispatches(program: Program, features: GpuFeatures): Promise<readonly Assembled[]> {
  const buffers = new Buffers(GRANTING, "planned", Number.POSITIVE_INFINITY)
  const storages = program.buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer.storage] : []))
  const newcomers = storages.map((storage) => ({ storage, isLoaded: !storage.isZero }))
  const blocks = await allocateBlocks(newcomers, buffers, features)
  const places = new Map(storages.map((storage, i) => [storage, blocks[i]]))
  const memory = {
    buffers,
    workspace: new Workspace(buffers),
    blockOf: (storage: (typeof storages)[number]) => places.get(storage)!,
  }
  const { dispatches } = await layOut(program, memory, features)
  return dispatches
}
