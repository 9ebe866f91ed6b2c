import { type Backend, BackendError } from "../backends/backend.js"
import { WebGpuBackend } from "../backends/webgpu/backend.js"
import type { DispatchSpan, ProfileDetail, ReplaySpan } from "../backends/webgpu/profiler.js"
import type { LanguageModel } from "../engine/model.js"
import { median } from "./median.js"
import { answer, tokenIds } from "./prompt.js"
import { warmUp } from "./warm_up.js"

export interface GpuBenchOptions {
  /** Tokens in the cache before the step. */
  readonly context: number
  /** Tokens of the step: 1 as in decoding, more as in prefill. */
  readonly rows: number
  readonly runs: number
  /** Measures the bytes per second that the GPU streams from its memory. */
  readonly roofline: () => Promise<number>
  readonly onProgress?: (done: number, total: number) => void
}

/** The dispatches of one kernel in one step. */
export interface KernelTime {
  readonly label: string
  readonly dispatches: number
  /** All of them together. Median over runs. */
  readonly us: number
  /** Bytes of weights and caches they must read, and that per second; 0 where the kernel does not say. */
  readonly bytes: number
  readonly bandwidth: number
  /** `bandwidth / read_bandwidth` */
  readonly roofline_share: number
}

export interface GpuBench {
  readonly context: number
  readonly rows: number
  readonly runs: number
  /** Slowest first. */
  readonly kernels: readonly KernelTime[]
  readonly dispatches: number
  /** All dispatches over the layers: those outside the layers count too. */
  readonly dispatches_per_layer: number
  /** Of weights and caches: what a token reads by the model's shape, or, of several rows, what the kernels say. */
  readonly bytes: number
  /** Sum of the kernels, each dispatch in a pass of its own. Median over runs. */
  readonly sum_us: number
  /** The step in one pass, as it runs outside benchmarks. Median over runs. */
  readonly step_us: number
  /** The roofline, measured before and after; the better one. */
  readonly read_bandwidth: number
  /** `bytes / step_us / read_bandwidth` */
  readonly roofline_share: number
}

/** Times one step of the model kernel by kernel, by the GPU's own clock. */
export async function benchGpu(
  model: LanguageModel,
  backend: WebGpuBackend,
  { context, rows, runs, roofline, onProgress }: GpuBenchOptions,
): Promise<GpuBench> {
  const { scheduler, info } = model
  const before = await roofline()
  // What comes before the step's rows is cached after the first run.
  const prompt = tokenIds(rows === 1 ? context : context + rows, scheduler.vocab_size)
  let done = 0
  const measure = async (detail: ProfileDetail): Promise<(readonly ReplaySpan[])[]> => {
    const run = async () => {
      if (context === 0) model.store.clear()
      const profiler = await backend.profile(detail)
      await answer(scheduler, prompt, rows === 1 ? 1 : 0)
      const { replays } = await profiler.stop()
      return replays.slice(-1)
    }
    await warmUp(run)
    const steps: (readonly ReplaySpan[])[] = []
    while (steps.length < runs) {
      steps.push(await run())
      onProgress?.(++done, 2 * runs)
    }
    return steps
  }
  const apart = (await measure("dispatch")).map((step) => step.flatMap(({ dispatches }) => dispatches))
  const whole = (await measure("replay")).map((step) => step.reduce((sum, { gpu }) => sum + gpu.ms, 0))
  const read_bandwidth = Math.max(before, await roofline())
  const kernels = byKernel(apart, read_bandwidth)
  const dispatches = apart[0].length
  const bytes =
    rows === 1
      ? info.weight_bytes_per_token + info.cache_bytes_per_token(context + 1)
      : kernels.reduce((sum, kernel) => sum + kernel.bytes, 0)
  const step_us = median(whole) * 1000
  return {
    context,
    rows,
    runs,
    kernels,
    dispatches,
    dispatches_per_layer: dispatches / info.layers,
    bytes,
    sum_us: median(apart.map(total)),
    step_us,
    read_bandwidth,
    roofline_share: (bytes * 1e6) / step_us / read_bandwidth,
  }
}

/** The GPU that a command needs. @throws BackendError when the model runs elsewhere */
export function needGpu(backend: Backend): WebGpuBackend {
  if (backend instanceof WebGpuBackend) return backend
  throw new BackendError(`timing kernels takes a GPU, and the model runs on ${backend.name}: use --device gpu`)
}

function total(dispatches: readonly DispatchSpan[]): number {
  return dispatches.reduce((sum, { ms }) => sum + ms * 1000, 0)
}

function byKernel(steps: readonly (readonly DispatchSpan[])[], read_bandwidth: number): KernelTime[] {
  const labels = [...new Set(steps[0].map(({ name }) => name))]
  const kernels = labels.map((label): KernelTime => {
    const own = steps.map((step) => step.filter(({ name }) => name === label))
    const us = median(own.map(total))
    const bytes = own[0].reduce((sum, dispatch) => sum + dispatch.bytes, 0)
    const bandwidth = (bytes * 1e6) / us
    return { label, dispatches: own[0].length, us, bytes, bandwidth, roofline_share: bandwidth / read_bandwidth }
  })
  return kernels.sort((a, b) => b.us - a.us)
}
