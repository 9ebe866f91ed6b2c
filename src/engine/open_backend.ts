import * as z from "zod"
import { type Backend, BackendError, type Precision } from "../backends/backend.js"
import type { WebGpuBackend } from "../backends/webgpu/backend.js"
import type { GpuProvider } from "../backends/webgpu/gpu_provider.js"
import { givenOptions, type KnownOptions } from "./given_options.js"
import { checked } from "./schemas.js"

export interface BackendOptions {
  /** `auto`, the default: the GPU if there is a real one, else the CPU. `gpu` insists, and takes a software adapter too. */
  readonly device?: "auto" | "gpu" | "cpu" | "reference"
  /** The most threads of `cpu`; by default, and at most, one per core that affinity and CPU quotas leave. */
  readonly threads?: number
  /** `fast`, the default, may round activations: to float16 on the GPU, to int8 or int16 on the CPU. `int16` rounds them to no less than 16 bits, `exact` keeps them in float32. */
  readonly precision?: Precision
}

export const BACKEND_OPTIONS: KnownOptions<BackendOptions> = { device: true, threads: true, precision: true }

const schema = z.object({
  device: z.enum(["auto", "gpu", "cpu", "reference"], { error: "auto, gpu, cpu or reference" }).default("auto"),
  threads: z.int({ error: "a whole number" }).min(0, { error: "a whole number, 0 or more" }).optional(),
  precision: z.enum(["fast", "int16", "exact"], { error: "fast, int16 or exact" }).optional(),
})

export interface OpenedBackend {
  readonly backend: Backend
  /** Which device it is and why, for people: `GPU: NVIDIA H100 (matrix)`, `CPU: no GPU found (WebGPU has no adapter)`. */
  readonly reason: string
}

/**
 * The devices that there are where this runs, in Node or in a browser.
 *
 * @internal
 */
export interface Devices {
  cpu(options: Pick<BackendOptions, "threads" | "precision">): Promise<Backend>
  /** @throws BackendError where there is no WebGPU */
  gpu(): Promise<GpuProvider>
  /** What who insists on a GPU and has none is told to do. */
  readonly gpuAdvice: string
}

/**
 * Opens the backend that the options name: what `openBackend` is made of.
 *
 * @internal
 */
export async function openBackendOf(devices: Devices, options?: BackendOptions): Promise<OpenedBackend> {
  const { device, threads, precision } = checked(schema, givenOptions(options, BACKEND_OPTIONS))
  if (device === "reference") {
    const { ReferenceBackend } = await import("../backends/reference/backend.js")
    return { backend: new ReferenceBackend(), reason: "reference: as asked" }
  }
  const cpu = async (why: string) => ({
    backend: await devices.cpu({ threads, precision }),
    reason: `CPU: ${why}`,
  })
  if (device === "cpu") return cpu("as asked")
  // A third of all modules, which the CPU alone does not need.
  const { WebGpuBackend } = await import("../backends/webgpu/backend.js")
  const { tierOf } = await import("../backends/webgpu/features.js")
  let backend: WebGpuBackend
  try {
    backend = await WebGpuBackend.open(await devices.gpu(), { precision })
  } catch (error) {
    const { message } = error as Error
    if (device === "auto") return cpu(message)
    throw new BackendError(`${message}: ${devices.gpuAdvice}`, { cause: error })
  }
  const { description, features, isFallback } = backend.gpu
  if (!isFallback) return { backend, reason: `GPU: ${description} (${tierOf(features)})` }
  if (device === "gpu") {
    return {
      backend,
      reason: `GPU: ${description} (${tierOf(features)}), software on the CPU: the device cpu is faster`,
    }
  }
  await backend.close()
  return cpu(`no GPU found (${description} is software on the CPU)`)
}
