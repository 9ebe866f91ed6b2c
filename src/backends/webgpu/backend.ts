import type { KvFormat } from "../../tensor/kv_format.js"
import type { Storage } from "../../tensor/storage.js"
import {
  type Backend,
  BackendError,
  type Executable,
  type LoadOptions,
  type MemoryCounter,
  type Precision,
} from "../backend.js"
import { FUSED_KINDS } from "../../ir/operations.js"
import type { Program } from "../../ir/program.js"
import { compileLayout } from "./compile.js"
import { GpuCounter } from "./counter.js"
import type { Tolerance } from "../../ir/op_spec.js"
import { type DeviceOptions, GpuDevice } from "./device.js"
import type { GpuProvider } from "./gpu_provider.js"
import { type Layout, layOut } from "./layout.js"
import { GpuMemory } from "./memory.js"
import { type ProfileDetail, Profiler } from "./profiler.js"
import { GpuQueue } from "./queue.js"

export interface WebGpuOptions extends DeviceOptions {
  /** `fast`: float16 for products and caches where the device has it. */
  readonly precision?: Precision
}

/** WGSL kernels on a GPU. Weights stay as stored; kernels decode them in registers. */
export class WebGpuBackend implements Backend {
  readonly name = "webgpu"
  readonly fusions = new Set(FUSED_KINDS)
  readonly kvFormats: readonly KvFormat[]
  readonly prefillChunk = 2048
  // Kernels for few rows, and tiles of more and more.
  readonly rowClasses = [1, 2, 4, 8, 16, 32, 64, 128, 512, 2048]
  readonly replaysAhead = 6
  readonly queue: GpuQueue
  readonly memory: GpuMemory

  /** On a device that is open already; closing the backend closes it. */
  constructor(
    readonly gpu: GpuDevice,
    precision: Precision = "fast",
  ) {
    this.kvFormats =
      precision === "exact" ? ["float32", "float16", "int8", "int4"] : ["float16", "float32", "int8", "int4"]
    this.queue = new GpuQueue(gpu.device)
    this.memory = new GpuMemory(this, gpu, this.queue)
  }

  /** @throws BackendError when there is no GPU */
  static async open(provider: GpuProvider, options: WebGpuOptions = {}): Promise<WebGpuBackend> {
    const { precision, ...device } = options
    const isLower = device.tier === "core" || precision !== "exact"
    const tier = isLower ? device.tier : "subgroups"
    return new WebGpuBackend(await GpuDevice.open(provider, { ...device, tier }), precision)
  }

  /** Kernels are float32, except products where the device has f16. */
  tolerance(of: Tolerance): number {
    const { f16, matrix } = this.gpu.features
    // Subgroup matrices take queries and softmax weights as float16, over caches of float16.
    if (matrix && of === "attention") return 2e-3
    // A sum of 32 float16 products, which is what the shortest rows have, may cancel.
    return f16 && of === "product" ? 5e-3 : 1e-5
  }

  async makeResident(storages: Iterable<Storage>, options?: LoadOptions): Promise<void> {
    await this.memory.load(await this.memory.place(storages), options)
  }

  memoryCounter(): MemoryCounter {
    return new GpuCounter(this.gpu.features, this.gpu.description)
  }

  async compile(program: Program, options: LoadOptions = {}): Promise<Executable> {
    const { memory } = this
    const storages = program.buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer] : []))
    const written = new Set(storages.flatMap(({ storage, access }) => (access === "write" ? [storage] : [])))
    let arrivals = await memory.place(storages.map(({ storage }) => storage))
    // What is about to be written is moved first, so it has to be here.
    if (arrivals.some(({ storage, isLoaded }) => isLoaded && written.has(storage))) {
      await memory.load(arrivals, options)
      arrivals = []
    }
    let layout: Layout
    try {
      for (const storage of written) await memory.makeWritable(storage)
      layout = await layOut(program, memory, this.gpu.features)
    } catch (error) {
      memory.abandon(arrivals)
      throw error
    }
    // Pipelines compile while weights load, for which there is room now.
    const [loaded, compiled] = await Promise.allSettled([
      memory.load(arrivals, options),
      compileLayout(this, program, layout, options),
    ])
    if (loaded.status === "fulfilled" && compiled.status === "fulfilled") return compiled.value
    if (compiled.status === "fulfilled") compiled.value.dispose()
    throw loaded.status === "rejected" ? loaded.reason : (compiled as PromiseRejectedResult).reason
  }

  /**
   * Times every replay from now on until the result's `stop()`, which tells what ran when. Programs run as before
   * once it has stopped.
   *
   * @throws BackendError when the GPU has no timestamps
   */
  async profile(detail: ProfileDetail): Promise<Profiler> {
    const { gpu, queue } = this
    if (!gpu.features.timestamps) {
      throw new BackendError(`${gpu.description} has no timestamp queries: its kernels cannot be timed`)
    }
    return Profiler.start(gpu, queue, detail)
  }

  async fence(): Promise<void> {
    await this.queue.idle()
    this.gpu.check()
  }

  async close(): Promise<void> {
    this.gpu.close()
  }
}
