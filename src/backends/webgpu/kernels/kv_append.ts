import type { OperandsOf } from "../../../ir/operations.js"
import type { Operand } from "../../../ir/program.js"
import { ofRows } from "../bindable.js"
import { appendCodes } from "./attention/append_codes.js"
import { cacheLayout } from "./attention/cache_layout.js"
import { type Dispatch, reads, writes } from "../dispatch.js"
import { perThread } from "./per_thread.js"

/**
 * Copies rows into their slots; a thread per 32-bit word of the cache. Where rows of float16 are odd, neighbours share
 * a word and each sets its half atomically. Quantized caches take vectors as wholes.
 */
export function kvAppend(_: unknown, { cache, x, slots }: OperandsOf<"kv_append", Operand>): Dispatch[] {
  const [, heads, headDim] = x.shape
  const { codes } = cacheLayout(cache, headDim)
  if (codes) {
    const rows = { x, first: 0, headDim, slots, positions: null, rotate: null }
    return [appendCodes(codes, rows, [{ heads, isTurned: false, to: cache }])]
  }
  const row = heads * headDim
  const half = cache.dtype === "float16"
  const shared = half && row % 2 === 1
  const words = half && !shared ? row / 2 : row
  return [
    perThread({
      label: `kv_append ${cache.dtype}`,
      views: {
        cache: writes(cache, shared ? "atomic<u32>" : half ? "u32" : "f32"),
        x: reads(x, "f32"),
        slots: reads(slots, "u32"),
      },
      n: ofRows(x, (L) => L * words),
      body: ({ cache, x, slots }) => `let at = ${slots.at(`i / ${words}u`)} * ${words}u + i % ${words}u;
  ${
    shared
      ? `let word = &${cache.at("at >> 1u")};
  let shift = 16u * (at & 1u);
  atomicAnd(word, ~(0xffffu << shift));
  atomicOr(word, pack2x16float(vec2f(${x.at("i")}, 0.0)) << shift);`
      : half
        ? `${cache.at("at")} = pack2x16float(vec2f(${x.at("2u * i")}, ${x.at("2u * i + 1u")}));`
        : `${cache.at("at")} = ${x.at("i")};`
  }`,
    }),
  ]
}
