import { itemSize } from "../../../tensor/dtype.js"
import { BackendError } from "../../backend.js"
import type { Operand } from "../../../ir/program.js"
import { ofElements } from "../bindable.js"
import { type Dispatch, dispatch, grid, reads, workgroupIndex, writes } from "../dispatch.js"
import { conversion } from "../wgsl/floats.js"
import { stridedIndices, stridedLoop, strideParams } from "../wgsl/strides.js"

const SIZE = 256

const BITS = { 1: "uint8", 2: "uint16", 4: "uint32" } as const

/** Any strides, any dtype to itself, floats and 8 or 32-bit integers to each other. A lane writes one word. */
export function copy(_: unknown, { x }: { x: Operand }, { y: output }: { y: Operand }): Dispatch[] {
  const convert = conversion(x.dtype, output.dtype)
  if (!convert) throw new BackendError(`webgpu does not convert ${x.dtype} to ${output.dtype}: cast it elsewhere`)
  const loop = stridedLoop(output.shape, [x])
  const size = itemSize(output.dtype)
  const perWord = Math.max(1, 4 / size)
  const wide = size === 8
  const wordsOfAll = (n: number) => (wide ? 2 * n : Math.ceil(n / perWord))
  const bits = BITS[Math.min(4, itemSize(x.dtype)) as keyof typeof BITS]
  return [
    dispatch({
      label: `copy ${x.dtype} to ${output.dtype}`,
      views: { x: reads({ ...x, dtype: bits, ...(wide && wordsOf(x)) }, "u32"), out: writes(output, "u32") },
      params: { n: ofElements(output, (n) => n), words: ofElements(output, wordsOfAll), ...strideParams(loop) },
      workgroups: ofElements(output, (n) => grid(Math.ceil(wordsOfAll(n) / SIZE))),
      code: ({ x, out }) => /* wgsl */ `${convert}
fn element(i: u32) -> u32 {
  ${stridedIndices(loop, "i", ["at"])}
  return at;
}
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let word = ${workgroupIndex} * ${SIZE}u + lid;
  if (word >= params.words) { return; }
  ${
    wide
      ? `${out.at("word")} = ${x.at("2u * element(word / 2u) + word % 2u")};`
      : perWord === 1
        ? `${out.at("word")} = convert(${x.load("element(word)")});`
        : `
  var packed = 0u;
  for (var j = 0u; j < ${perWord}u; j++) {
    let i = word * ${perWord}u + j;
    if (i < params.n) { packed |= (convert(${x.load("element(i)")}) & ${2 ** (8 * size) - 1}u) << (j * ${8 * size}u); }
  }
  // Of a last word that is not full, what follows the result stays.
  let rest = min(params.n - word * ${perWord}u, ${perWord}u);
  if (rest < ${perWord}u) { packed |= ${out.at("word")} & (0xffffffffu << (rest * ${8 * size}u)); }
  ${out.at("word")} = packed;`
  }
}`,
    }),
  ]
}

/** The extent of 8-byte elements in words. */
function wordsOf({ shape, strides }: Operand): Pick<Operand, "shape" | "strides"> {
  return { shape: [...shape, 2], strides: [...strides.map((stride) => 2 * stride), 1] }
}
