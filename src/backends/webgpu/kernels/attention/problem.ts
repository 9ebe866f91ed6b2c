import type { KernelOf, OperandsOf } from "../../../../ir/operations.js"
import type { Operand } from "../../../../ir/program.js"
import type { Accessor } from "../../dispatch.js"

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
  readonly scale: number
  readonly window: number | null
  /** Positions of a page. */
  readonly pageSize: number
  readonly positions: Operand
  readonly sequences: Operand
  /** `[sequences, pages]` */
  readonly tables: Operand
  readonly keys: Operand
  readonly values: Operand
  readonly sinks: Operand | null
  readonly output: Operand
}

/** @param output `[L, heads, headDim]` */
export function attentionOf(
  { scale, window, page_size: pageSize }: Pick<KernelOf<"attention">, "scale" | "window" | "page_size">,
  operands: Omit<OperandsOf<"attention", Operand>, "q">,
  output: Operand,
): Attention {
  const { positions, sequences, tables, keys, values, sinks = null } = operands
  const [rows, heads, headDim] = output.shape
  const sizes = { rows, heads, kvHeads: keys.shape[1], headDim, scale, window, pageSize }
  return { ...sizes, positions, sequences, tables, keys, values, sinks, output }
}

/** The most keys that a row can see. */
export function mostKeys({ tables, pageSize, window }: Attention): number {
  const most = tables.shape[1] * pageSize
  return Math.min(most, window ?? most)
}

/** Whether rows of a step may belong to sequences of their own. */
export function isShared({ tables }: Attention): boolean {
  return tables.shape[0] > 1
}

const FORMATS: Partial<Record<Operand["dtype"], string>> = { float32: "f32", float16: "f16" }

/** For a dispatch's label. */
export function describe({ keys, window }: Attention): string {
  return `${FORMATS[keys.dtype] ?? keys.dtype}${window === null ? "" : ` window ${window}`}`
}

/** WGSL for the sink of head `h`, in log2 and finite. */
export function sinkLogit(sinks: Accessor, h: string): string {
  return `clamp(${sinks.load(h)} * ${LOG2E}, ${NO_MAXIMUM}, 1e30)`
}

/** The largest divisor of `n` up to `most`. */
export function largestDivisor(n: number, most: number): number {
  let divisor = Math.min(n, most)
  while (n % divisor !== 0) divisor--
  return divisor
}
