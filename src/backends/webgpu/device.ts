import { BackendError } from "../backend.js"
import { type GpuFeatures, limitedTo, type MatrixShape, type Tier } from "./features.js"
import type { GpuProvider } from "./gpu_provider.js"

export interface DeviceOptions {
  /** Uses no more than this tier offers: for tests of weaker devices' kernels. */
  readonly tier?: Tier
  /** Lowers the largest binding, in bytes: tensors above it are split. */
  readonly maxBinding?: number
}

const WANTED: readonly string[] = [
  "subgroups",
  "shader-f16",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
]

/** Limits that kernels gain from; the adapter's best is asked for. */
const LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const

/** A device with what kernels may use, its compiled pipelines, and the first thing that went wrong. */
export class GpuDevice {
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>()
  private failure: BackendError | null = null

  private constructor(
    /** Held because Dawn's instance goes when its JavaScript object is collected. */
    readonly provider: GpuProvider,
    readonly device: GPUDevice,
    readonly features: GpuFeatures,
    /** The adapter's name for messages: "NVIDIA H100". */
    readonly description: string,
    /** True for an implementation on the CPU, such as SwiftShader. */
    readonly isFallback: boolean,
  ) {
    device.lost.then(({ reason, message }) =>
      this.fail(
        reason === "destroyed"
          ? "the GPU was closed: open it again"
          : `the GPU was lost: ${message}. Load the model again`,
      ),
    )
    device.addEventListener("uncapturederror", (event) => {
      // Dawn would print each one into the user's terminal.
      event.preventDefault()
      const { error } = event
      // Node has no global of that name.
      const outOfMemory = error.constructor.name === "GPUOutOfMemoryError"
      this.fail(outOfMemory ? `the GPU is out of memory: ${error.message}` : `the GPU refused: ${error.message}`)
    })
  }

  /** @throws BackendError when there is no adapter */
  static async open(provider: GpuProvider, { tier, maxBinding }: DeviceOptions = {}): Promise<GpuDevice> {
    const adapter = await provider.requestAdapter({ powerPreference: "high-performance" })
    if (!adapter) throw new BackendError("no GPU found (WebGPU has no adapter)")
    const requiredFeatures = WANTED.filter((name) => adapter.features.has(name)) as GPUFeatureName[]
    const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]))
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits })
    const { info } = adapter
    const { limits } = device
    const has = (name: string) => device.features.has(name as GPUFeatureName)
    const features: GpuFeatures = {
      subgroups: has("subgroups") ? { min: info.subgroupMinSize, max: info.subgroupMaxSize } : null,
      f16: has("shader-f16"),
      matrix: has("chromium-experimental-subgroup-matrix") ? matrixShape(info) : null,
      timestamps: has("timestamp-query"),
      maxBinding: Math.min(maxBinding ?? Number.POSITIVE_INFINITY, limits.maxStorageBufferBindingSize),
      maxBuffer: limits.maxBufferSize,
      maxBindings: limits.maxStorageBuffersPerShaderStage,
      maxWorkgroupStorage: limits.maxComputeWorkgroupStorageSize,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      offsetAlignment: limits.minStorageBufferOffsetAlignment,
      uniformAlignment: limits.minUniformBufferOffsetAlignment,
    }
    const description = info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") || "GPU"
    return new GpuDevice(
      provider,
      device,
      tier ? limitedTo(features, tier) : features,
      description,
      info.isFallbackAdapter,
    )
  }

  /** @throws BackendError when the device was lost or refused something since it was opened */
  check(): void {
    if (this.failure) throw this.failure
  }

  /**
   * Waits until the device has judged all calls made so far.
   *
   * @throws BackendError as `check` does
   */
  async settle(): Promise<void> {
    this.device.pushErrorScope("validation")
    await this.device.popErrorScope().catch(() => null)
    this.check()
  }

  /** The pipeline of a kernel's text; equal texts share one. */
  pipeline(label: string, code: string): Promise<GPUComputePipeline> {
    let pipeline = this.pipelines.get(code)
    if (!pipeline) {
      pipeline = this.build(label, code)
      this.pipelines.set(code, pipeline)
    }
    return pipeline
  }

  close(): void {
    this.device.destroy()
  }

  private async build(label: string, code: string): Promise<GPUComputePipeline> {
    // In a scope of its own: a text that is refused is no failure of the device.
    this.device.pushErrorScope("validation")
    const module = this.device.createShaderModule({ label, code })
    const built = this.device.createComputePipelineAsync({ label, layout: "auto", compute: { module } })
    const judged = this.device.popErrorScope().catch(() => null)
    try {
      return await built
    } catch (error) {
      this.check()
      const { messages } = await module.getCompilationInfo()
      const found = messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`).join("; ")
      throw new BackendError(`the GPU refused kernel ${label}: ${found || (error as Error).message}`)
    } finally {
      await judged
    }
  }

  private fail(message: string): void {
    this.failure ??= new BackendError(message)
  }
}

interface MatrixConfig {
  readonly componentType: string
  readonly resultComponentType: string
  readonly M: number
  readonly N: number
  readonly K: number
}

/** The shape among the adapter's that takes f16 and accumulates f32, if any: the larger first. */
function matrixShape(info: GPUAdapterInfo): MatrixShape | null {
  const configs = [...((info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }).subgroupMatrixConfigs ?? [])]
  const fitting = configs.filter((c) => c.componentType === "f16" && c.resultComponentType === "f32")
  const [best] = fitting.sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)
  return best ? { m: best.M, n: best.N, k: best.K } : null
}
