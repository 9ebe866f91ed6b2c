import type { GpuDevice } from "./device.js"
import type { GpuObserver, GpuQueue, ObservedReplay } from "./queue.js"
import type { BoundDispatch } from "./bound_dispatch.js"
import { Timestamps } from "./timestamps.js"

/** When something ran, in milliseconds on the clock of `performance.now()`. */
export interface Span {
  readonly name: string
  readonly start_ms: number
  readonly ms: number
}

/** One dispatch of a replay, timed by the GPU. */
export interface DispatchSpan extends Span {
  readonly workgroups: readonly [number, number, number]
  /** Bytes of weights and caches that it must at least read; 0 where its kernel does not say. */
  readonly bytes: number
}

/** One replay of a program. */
export interface ReplaySpan {
  /** From the first dispatch's start to the last one's end, timed by the GPU. */
  readonly gpu: Span
  /** In order, none overlapping; empty when replays were timed as a whole. */
  readonly dispatches: readonly DispatchSpan[]
}

/** What ran while a {@link Profiler} was at work. */
export interface Profile {
  /** In the order they were submitted. */
  readonly replays: readonly ReplaySpan[]
  /** On the JavaScript side: "encode", "submit", and "read", which may overlap. */
  readonly host: readonly Span[]
}

/**
 * `replay` puts one pair of timestamps around each replay, which then runs as it always does. `dispatch` gives each
 * dispatch a pass of its own: the single times, at the cost of some microseconds each that the sum then contains.
 */
export type ProfileDetail = "replay" | "dispatch"

/** What is known of a dispatch when it is submitted. */
type Dispatched = Pick<BoundDispatch, "label" | "workgroups" | "bytes">

/** A replay whose timestamps are on their way. */
interface Pending {
  /** Empty when replays are timed as a whole. */
  readonly dispatched: readonly Dispatched[]
  readonly times: Promise<BigUint64Array>
}

/** Times the replays of a device's programs from `start` to `stop`. `WebGpuBackend.profile` starts one. */
export class Profiler implements GpuObserver {
  private readonly pending: Pending[] = []
  private readonly host: Span[] = []
  private readonly detach: () => void

  private constructor(
    private readonly gpu: GpuDevice,
    queue: GpuQueue,
    private readonly detail: ProfileDetail,
    /** The same moment on both clocks: nanoseconds of the GPU, milliseconds of `performance.now()`. */
    private readonly origin: { readonly gpu: bigint; readonly host: number },
  ) {
    this.detach = queue.observe(this)
  }

  /** Waits for the work submitted so far, so that the clocks of GPU and host can be laid over one another. */
  static async start(gpu: GpuDevice, queue: GpuQueue, detail: ProfileDetail): Promise<Profiler> {
    let narrowest = Number.POSITIVE_INFINITY
    let origin = { gpu: 0n, host: 0 }
    for (let i = 0; i < 5; i++) {
      await gpu.device.queue.onSubmittedWorkDone()
      const timestamps = new Timestamps(gpu.device, 1)
      const encoder = gpu.device.createCommandEncoder()
      encoder.beginComputePass({ timestampWrites: timestamps.pass(0) }).end()
      timestamps.resolve(encoder)
      const before = performance.now()
      gpu.device.queue.submit([encoder.finish()])
      await gpu.device.queue.onSubmittedWorkDone()
      const after = performance.now()
      const [start] = await timestamps.read()
      if (after - before >= narrowest) continue
      narrowest = after - before
      origin = { gpu: start, host: (before + after) / 2 }
    }
    return new Profiler(gpu, queue, detail, origin)
  }

  replay(dispatches: readonly BoundDispatch[]): ObservedReplay {
    const isApart = this.detail === "dispatch"
    const groups = isApart ? dispatches.map((one) => [one]) : [dispatches]
    const timestamps = new Timestamps(this.gpu.device, groups.length)
    // Workgroups as they are now: the next replay may have other rows.
    const dispatched = isApart ? dispatches.map(({ label, workgroups, bytes }) => ({ label, workgroups, bytes })) : []
    return {
      passes: groups.map((group, i) => ({ dispatches: group, timestampWrites: timestamps.pass(i) })),
      encoded: (encoder) => timestamps.resolve(encoder),
      submitted: () => {
        const times = timestamps.read()
        // A failure is for `stop` to report, which may come much later.
        times.catch(() => {})
        this.pending.push({ dispatched, times })
      },
    }
  }

  /** Notes when something on the JavaScript side starts; call the result when it ends. */
  span(name: string): () => void {
    const start_ms = performance.now()
    return () => {
      this.host.push({ name, start_ms, ms: performance.now() - start_ms })
    }
  }

  /**
   * Waits for the timestamps of everything submitted.
   *
   * @throws BackendError when the GPU was lost meanwhile
   */
  async stop(): Promise<Profile> {
    this.detach()
    const { origin } = this
    const replays: ReplaySpan[] = []
    let previous = Number.NEGATIVE_INFINITY
    for (const { dispatched, times } of this.pending) {
      const ticks = await times.finally(() => this.gpu.check())
      const moments = Array.from(ticks, (tick) => origin.host + Number(tick - origin.gpu) / 1e6)
      const spans: Span[] = []
      for (let i = 0; i < moments.length; i += 2) {
        // A pass may begin while the one before still runs; its dispatches wait for it.
        const start_ms = Math.max(previous, moments[i])
        previous = Math.max(start_ms, moments[i + 1])
        spans.push({ name: "replay", start_ms, ms: previous - start_ms })
      }
      const gpu = { ...spans[0], ms: previous - spans[0].start_ms }
      replays.push({ gpu, dispatches: dispatched.map((dispatch, i) => dispatchSpan(dispatch, spans[i])) })
    }
    return { replays, host: [...this.host].sort((a, b) => a.start_ms - b.start_ms) }
  }
}

function dispatchSpan({ label, workgroups, bytes }: Dispatched, { start_ms, ms }: Span): DispatchSpan {
  return { name: label, start_ms, ms, workgroups, bytes }
}
