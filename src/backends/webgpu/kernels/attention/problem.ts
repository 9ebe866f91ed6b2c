import { BackendError } from "../../../backend.js"
import type { KernelOf, OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import { ofRows } from "../../bindable.js"
import { type Accessor, type Param, reads, type View, writes } from "../../dispatch.js"

/** Below every score, and finite, as WGSL may assume that infinities do not occur. */
export const MASKED = "-3e38"

/** Where running maxima start: above {@link MASKED}, so that masked keys weigh nothing, and below every true score. */
export const NO_MAXIMUM = "-1e30"

/** Scores are kept in units of log2(e), so that exp2 does. */
export const LOG2E = Math.LOG2E

/** One attention, as the kernels see it. */
export interface Attention {
  /** At most. */
  readonly rows: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly capacity: number
  readonly scale: number
  readonly window: number | null
  readonly positions: Operand
  readonly keys: Operand
  readonly values: Operand
  readonly sinks: Operand | null
  readonly sequences: Operand | null
  readonly output: Operand
}

/** @param output `[L, heads, headDim]` */
export function attentionOf(
  { scale, window }: Pick<KernelOf<"attention">, "scale" | "window">,
  operands: Omit<OperandsOf<"attention", Operand>, "q">,
  output: Operand,
): Attention {
  const { positions, keys, values, sinks, sequences } = operands
  const [rows, heads] = output.shape
  const [capacity, kvHeads, headDim] = keys.shape.slice(-3)
  const optional = { sinks: sinks ?? null, sequences: sequences ?? null }
  return { rows, heads, kvHeads, headDim, capacity, scale, window, positions, keys, values, ...optional, output }
}

/** The most keys that a row can see. */
export function mostKeys({ capacity, window }: Attention): number {
  return Math.min(capacity, window ?? capacity)
}

/** For a dispatch's label. */
export function describe({ keys, window }: Attention): string {
  return `${keys.dtype === "float16" ? "f16" : "f32"}${window === null ? "" : ` window ${window}`}`
}

/** The views that tell which keys a row sees. */
export function rowViews({ positions, sequences }: Attention): Record<string, View> {
  return { positions: reads(positions, "u32"), ...(sequences ? { sequences: reads(sequences, "u32") } : {}) }
}

/** The parameters that {@link visible} needs. */
export function rowParams({ output, capacity, window }: Attention): Record<string, Param> {
  return { rows: ofRows(output, (rows) => rows), capacity, window: window ?? 0xffffffff }
}

/**
 * WGSL for `first_visible(position, last)`: the first position that a row sees, given the last of its sequence in this
 * step, whose append has pushed the oldest out; and `sequence_of(row)`.
 */
export function visible({ sequences }: Record<string, Accessor>): string {
  return /* wgsl */ `
fn first_visible(position: u32, last: u32) -> u32 {
  let held = last + 1u - min(last + 1u, params.capacity);
  return max(held, position + 1u - min(position + 1u, params.window));
}
fn sequence_of(row: u32) -> u32 { return ${sequences ? sequences.at("row") : "0u"}; }`
}

/** WGSL for the sink of head `h`, in log2 and finite. */
export function sinkLogit(sinks: Accessor, h: string): string {
  return `clamp(${sinks.load(h)} * ${LOG2E}, ${NO_MAXIMUM}, 1e30)`
}

/** How a kernel reads and writes a cache: in units of up to 16 bytes. */
export interface CacheLayout {
  /** Elements that one element of the view holds. */
  readonly unit: number
  /** Elements of one vector of the arithmetic: 4, or 1 where heads are no multiple of it. */
  readonly lanes: 1 | 4
  view(cache: Operand, written: boolean): View
  /** WGSL for a unit as stored. */
  read(cache: Accessor, i: string): string
  /** WGSL for the vectors in a unit. */
  unpack(unit: string): string[]
  /** WGSL for a unit made of elements. */
  pack(element: (i: number) => string): string
  /** WGSL for a float32 as the cache would give it back. */
  round(value: string): string
}

export function cacheLayout({ dtype }: Operand, headDim: number): CacheLayout {
  const half = dtype === "float16"
  const view = (type: View["type"]) => (cache: Operand, written: boolean) => (written ? writes : reads)(cache, type)
  const read = (cache: Accessor, i: string) => cache.at(i)
  const round = (value: string) => (half ? `unpack2x16float(pack2x16float(vec2f(${value}, 0.0))).x` : value)
  const words = (element: (i: number) => string, count: number) =>
    Array.from({ length: count }, (_, i) => `pack2x16float(vec2f(${element(2 * i)}, ${element(2 * i + 1)}))`)
  const halves = (unit: string, [x, y]: string) => `vec4f(unpack2x16float(${unit}.${x}), unpack2x16float(${unit}.${y}))`
  if (half && headDim % 8 === 0) {
    return {
      unit: 8,
      lanes: 4,
      view: view("vec4<u32>"),
      unpack: (unit) => [halves(unit, "xy"), halves(unit, "zw")],
      pack: (element) => `vec4u(${words(element, 4).join(", ")})`,
      read,
      round,
    }
  }
  if (half && headDim % 4 === 0) {
    return {
      unit: 4,
      lanes: 4,
      view: view("vec2<u32>"),
      unpack: (unit) => [halves(unit, "xy")],
      pack: (element) => `vec2u(${words(element, 2).join(", ")})`,
      read,
      round,
    }
  }
  if (half && headDim % 2 === 0) {
    return {
      unit: 2,
      lanes: 1,
      view: view("u32"),
      unpack: (unit) => [`unpack2x16float(${unit}).x`, `unpack2x16float(${unit}).y`],
      pack: (element) => words(element, 1)[0],
      read,
      round,
    }
  }
  if (half) {
    return {
      unit: 1,
      lanes: 1,
      view: view("u32"),
      read: (cache, i) => cache.load(i),
      unpack: (unit) => [unit],
      pack: () => {
        throw new BackendError(`attention: rows of ${headDim} float16 cannot be appended: heads must be even`)
      },
      round,
    }
  }
  const lanes = headDim % 4 === 0 ? 4 : 1
  return {
    unit: lanes,
    lanes,
    view: view(lanes === 4 ? "vec4<f32>" : "f32"),
    unpack: (unit) => [unit],
    pack: (element) => (lanes === 4 ? `vec4f(${[0, 1, 2, 3].map(element).join(", ")})` : element(0)),
    read,
    round,
  }
}

/** The largest divisor of `n` up to `most`. */
export function largestDivisor(n: number, most: number): number {
  let divisor = Math.min(n, most)
  while (n % divisor !== 0) divisor--
  return divisor
}
