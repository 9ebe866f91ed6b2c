import type { Profile, Span } from "../backends/webgpu/profiler.js"

/** An event of Chrome's trace format. `ts` and `dur` in microseconds. */
export interface TraceEvent {
  readonly name: string
  /** M names a track, X is a span, b and e begin and end one that may overlap others. */
  readonly ph: "M" | "X" | "b" | "e"
  readonly pid: number
  readonly tid: number
  readonly ts?: number
  readonly dur?: number
  readonly cat?: string
  readonly id?: number
  readonly args?: Readonly<Record<string, string | number>>
}

export interface Trace {
  readonly traceEvents: readonly TraceEvent[]
  readonly displayTimeUnit: "ns"
}

const GPU = { pid: 1, tid: 1 }
const STEPS = { pid: 1, tid: 2 }
const HOST = { pid: 2, tid: 1 }

/**
 * A profile as a timeline that https://ui.perfetto.dev and chrome://tracing open: tracks of the GPU's steps and of their
 * dispatches with bytes and rates, and one of what JavaScript did meanwhile (Trace Event Format, Google, 2016).
 *
 * @param gpu the GPU's name
 */
export function chromeTrace({ replays, host }: Profile, gpu: string): Trace {
  const starts = [...host, ...replays.map((replay) => replay.gpu)].map(({ start_ms }) => start_ms)
  const origin = starts.reduce((least, ms) => Math.min(least, ms), Number.POSITIVE_INFINITY)
  const ts = (ms: number) => (ms - origin) * 1000
  const span = ({ name, start_ms, ms }: Span, track: typeof GPU, args?: TraceEvent["args"]): TraceEvent => ({
    name,
    ph: "X",
    ...track,
    ts: ts(start_ms),
    dur: ms * 1000,
    args,
  })
  const title = (what: "process_name" | "thread_name", track: typeof GPU, name: string): TraceEvent => ({
    name: what,
    ph: "M",
    ...track,
    args: { name },
  })
  return {
    displayTimeUnit: "ns",
    traceEvents: [
      title("process_name", GPU, gpu),
      title("thread_name", GPU, "dispatches"),
      title("thread_name", STEPS, "steps"),
      title("process_name", HOST, "JavaScript"),
      title("thread_name", HOST, "encode and submit"),
      ...replays.flatMap(({ gpu, dispatches }) => [
        span(gpu, STEPS, { dispatches: dispatches.length }),
        ...dispatches.map((dispatch) => {
          const { ms, bytes, workgroups } = dispatch
          const rate: Record<string, number> = bytes > 0 && ms > 0 ? { "GB/s": bytes / (ms * 1e6) } : {}
          return span(dispatch, GPU, { bytes, ...rate, workgroups: workgroups.join(" x ") })
        }),
      ]),
      ...host.flatMap((of, id): TraceEvent[] => {
        if (of.name !== "read") return [span(of, HOST)]
        // Reads are waited for side by side.
        const half = { name: of.name, ...HOST, cat: "host", id }
        return [
          { ...half, ph: "b", ts: ts(of.start_ms) },
          { ...half, ph: "e", ts: ts(of.start_ms + of.ms) },
        ]
      }),
    ],
  }
}
