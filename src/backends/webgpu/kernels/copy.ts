import { itemSize } from "../../../tensor/dtype.js"
import { BackendError } from "../../backend.js"
import type { Operand } from "../../../ir/program.js"
import { ofElements } from "../bindable.js"
import { reads, writes } from "../dispatch.js"
import type { Declaration } from "../wgsl/declaration.js"
import { conversion } from "../wgsl/floats.js"
import { type StridedLoop, stridedIndices, stridedLoop, strideParams } from "../wgsl/strides.js"
import { perThread } from "./per_thread.js"
import type { Planner } from "./planner.js"

const BITS = { 1: "uint8", 2: "uint16", 4: "uint32" } as const

/** Any strides, any dtype to itself, floats and 8 or 32-bit integers to each other. A lane writes one word. */
export const copy: Planner<"copy"> = (_, { x }, { y }) => {
  const convert = conversion(x.dtype, y.dtype)
  if (!convert) throw new BackendError(`webgpu does not convert ${x.dtype} to ${y.dtype}: cast it elsewhere`)
  const loop = stridedLoop(y.shape, [x])
  const size = itemSize(y.dtype)
  const perWord = Math.max(1, 4 / size)
  const wide = size === 8
  const bits = BITS[Math.min(4, itemSize(x.dtype)) as keyof typeof BITS]
  return [
    perThread({
      label: `copy ${x.dtype} to ${y.dtype}`,
      views: { x: reads({ ...x, dtype: bits, ...(wide && wordsOf(x)) }, "u32"), out: writes(y, "u32") },
      params: { elements: ofElements(y, (n) => n), ...strideParams(loop) },
      n: ofElements(y, (n) => (wide ? 2 * n : Math.ceil(n / perWord))),
      uses: [convert, elementIndex(loop)],
      body: ({ x, out }) =>
        wide
          ? `${out.at("i")} = ${x.at("2u * element(i / 2u) + i % 2u")};`
          : perWord === 1
            ? `${out.at("i")} = convert(${x.load("element(i)")});`
            : `let rest = min(params.elements - i * ${perWord}u, ${perWord}u);
  var packed = 0u;
  for (var j = 0u; j < rest; j++) {
    let value = convert(${x.load(`element(i * ${perWord}u + j)`)});
    packed |= (value & ${2 ** (8 * size) - 1}u) << (j * ${8 * size}u);
  }
  // Of a last word that is not full, what follows the result stays.
  if (rest < ${perWord}u) { packed |= ${out.at("i")} & (0xffffffffu << (rest * ${8 * size}u)); }
  ${out.at("i")} = packed;`,
    }),
  ]
}

/** WGSL `element(i)`: where element `i` of the loop lies. */
function elementIndex(loop: StridedLoop): Declaration {
  return {
    text: /* wgsl */ `
fn element(i: u32) -> u32 {
  ${stridedIndices(loop, "i", ["at"])}
  return at;
}`,
  }
}

/** The extent of 8-byte elements in words. */
function wordsOf({ shape, strides }: Operand): Pick<Operand, "shape" | "strides"> {
  return { shape: [...shape, 2], strides: [...strides.map((stride) => 2 * stride), 1] }
}
