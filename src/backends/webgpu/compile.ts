import { BackendError, type LoadOptions } from "../backend.js"
import type { Program } from "../../ir/program.js"
import type { GpuDevice } from "./device.js"
import type { Assembled } from "./dispatch.js"
import { GpuExecutable, type GpuPorts } from "./executable.js"
import type { GpuFeatures } from "./features.js"
import type { Layout } from "./layout.js"

/** Compiles the pipelines of a program in parallel. The executable frees the layout, as does a failure. */
export async function compileLayout(
  ports: GpuPorts & { readonly gpu: GpuDevice },
  program: Program,
  layout: Layout,
  { onCompile, signal }: LoadOptions,
): Promise<GpuExecutable> {
  const { gpu, queue } = ports
  try {
    signal?.throwIfAborted()
    const { dispatches, params } = layout
    for (const dispatch of dispatches) checkBindings(dispatch, gpu.features)
    const kernels = new Map(dispatches.map(({ label, code }) => [code, gpu.pipeline(label, code)]))
    let compiled = 0
    const compile = async ([code, kernel]: [string, Promise<GPUComputePipeline>]) => {
      const pipeline = await kernel
      onCompile?.(++compiled, kernels.size)
      return [code, pipeline] as const
    }
    const pipelines = new Map(await Promise.all([...kernels].map(compile)))
    queue.write({ buffer: params.buffer, offset: 0 }, params.words)
    const executable = new GpuExecutable(ports, program, layout, pipelines)
    await gpu.settle()
    return executable
  } catch (error) {
    layout.free()
    throw error
  }
}

/** Weights come in parts that fit; what is written, such as a cache, has to fit as it is. */
function checkBindings({ label, bindings }: Assembled, { maxBinding }: GpuFeatures): void {
  const most = Math.max(0, ...bindings.map(({ size }) => size))
  if (most > maxBinding) {
    throw new BackendError(`${label} takes an array of ${most} bytes, and the GPU binds at most ${maxBinding} at once`)
  }
}
